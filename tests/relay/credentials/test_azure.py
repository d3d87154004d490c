from azure.core.exceptions import ClientAuthenticationError

from relay.credentials.azure import describe_azure_error

CHAIN = """DefaultAzureCredential failed to retrieve a token from the included credentials.
Attempted credentials:
\tEnvironmentCredential: EnvironmentCredential authentication unavailable. Environment variables are not fully configured.
Visit https://aka.ms/azsdk/python/identity/environmentcredential/troubleshoot to troubleshoot this issue.
\tWorkloadIdentityCredential: WorkloadIdentityCredential authentication unavailable. The workload options are not fully configured. See https://aka.ms/x.
\tManagedIdentityCredential: ManagedIdentityCredential authentication unavailable, no response from the IMDS endpoint.
\tAzureCliCredential: Please run 'az login' to set up an account. The account is new.
To mitigate this issue, please refer to the troubleshooting guidelines here at https://aka.ms/azsdk/python/identity/defaultazurecredential/troubleshoot."""


def test_the_message_has_the_first_sentence_of_each_attempt():
    assert describe_azure_error(ClientAuthenticationError(CHAIN)) == (
        "EnvironmentCredential: Environment variables are not fully configured;"
        " WorkloadIdentityCredential: The workload options are not fully configured;"
        " ManagedIdentityCredential: no response from the IMDS endpoint;"
        " AzureCliCredential: Please run 'az login' to set up an account."
    )


def test_any_other_error_is_one_line_of_bounded_length():
    assert describe_azure_error(ValueError("first\nsecond")) == "first second"
    assert len(describe_azure_error(ValueError("x" * 1000))) == 401
    assert describe_azure_error(TimeoutError()) == "TimeoutError"

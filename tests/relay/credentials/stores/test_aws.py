import pytest

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.aws import Aws
from relay.credentials.stores.aws_signature import AwsCredentials, signed_headers
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.reference import parse_reference
from simulators import faults
from simulators.secret_stores.aws import REGION, ROLE, AwsSimulator
from tests.support.secret_stores import running

ACME = "aws-secrets-manager:jira/acme"


@pytest.fixture
async def aws():
    async with running(AwsSimulator()) as service:
        service.values["jira/acme"] = "secret-key"
        yield service


def client_of(service, environ=None, **settings):
    config = SecretStoresConfig(**({"aws_endpoint": service.url, "aws_region": REGION} | settings))
    return Aws(config, service.environment if environ is None else environ)


async def read(client, reference=ACME):
    return await client.read_secret(parse_reference(reference))


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_the_signature_is_that_of_the_test_suite_of_aws(method, signature):
    """get-vanilla and post-vanilla of "Signature Version 4 test suite"."""
    key = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    url = "https://example.amazonaws.com/"
    headers = signed_headers(key, method, url, {}, b"", "us-east-1", "service", 1440938160.0)

    assert headers["Authorization"].endswith(f"Signature={signature}")


async def test_a_secret_is_a_text_or_bytes_of_text(aws):
    aws.values["binary"], aws.values["bytes"] = b"as-bytes", b"\xff"
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:jira/acme-a1b2c3"
    aws.values[arn] = "by-arn"
    client = client_of(aws, aws_region="us-east-1")

    assert await read(client, f"aws-secrets-manager:{arn}") == "by-arn"
    client = client_of(aws)
    assert await read(client) == "secret-key"
    assert await read(client, "aws-secrets-manager:binary") == "as-bytes"
    with pytest.raises(SecretStoreError, match="not UTF-8"):
        await read(client, "aws-secrets-manager:bytes")


def test_the_endpoint_of_one_service_is_not_asked_for_another():
    """A role of a service account needs STS, which does not answer at the endpoint of Secrets Manager."""
    endpoint = "https://vpce-0123-abcd.secretsmanager.eu-central-1.vpce.amazonaws.com"
    client = Aws(SecretStoresConfig(aws_endpoint=endpoint), {})

    assert client._url("secretsmanager", REGION) == f"{endpoint}/"
    assert client._url("sts", REGION) == "https://sts.eu-central-1.amazonaws.com/"


async def test_a_parameter_is_read_decrypted(aws):
    aws.parameters["/jira/acme"] = "parameter"
    client = client_of(aws)

    assert await client.read_parameter(parse_reference("aws-ssm:/jira/acme")) == "parameter"
    with pytest.raises(SecretStoreError, match="no such parameter"):
        await client.read_parameter(parse_reference("aws-ssm:/jira/none"))


def identities(service, tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{service.web_token}\n")
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{service.url}/container"}
    return {
        "web identity": {"AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_ARN": ROLE},
        "container": container | {"AWS_CONTAINER_AUTHORIZATION_TOKEN": service.container_token},
        "instance": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url},
    }


@pytest.mark.parametrize("kind", ["web identity", "container", "instance"])
async def test_a_temporary_key_is_kept_and_replaced_when_it_is_refused(aws, tmp_path, kind):
    client = client_of(aws, identities(aws, tmp_path)[kind])
    await read(client)
    await read(client)
    assert len(aws.keys) == 2
    aws.revoke_temporary_keys()

    assert await read(client) == "secret-key"
    assert len(aws.keys) == 2
    aws.key_seconds = 200.0
    aws.revoke_temporary_keys()
    await read(client)
    await read(client)
    assert len(aws.keys) == 3  # a key with less than five minutes left is not kept


@pytest.mark.parametrize("kind", ["web identity", "container", "instance"])
async def test_an_identity_without_a_role_is_named(aws, tmp_path, kind):
    environ = identities(aws, tmp_path)[kind] | {"AWS_ROLE_ARN": "arn:aws:iam::1:role/other"}
    if kind == "container":
        environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "wrong"
    if kind == "instance":
        aws.fault(faults.respond_with(404), "/security-credentials/", rate=1.0)
    with pytest.raises(SecretStoreError, match=r"no role|trust policy of the role \(403 AccessDenied\)"):
        await read(client_of(aws, environ))


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"AWS_EC2_METADATA_DISABLED": "true"}, "no key of AWS is set"),
        (
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token", "AWS_ROLE_ARN": ROLE},
            "/nowhere/token with the token cannot be read",
        ),
        ({"AWS_ACCESS_KEY_ID": "AKIALASTING", "AWS_SECRET_ACCESS_KEY": "wrong"}, "rejects the signature"),
        ({"AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": "wrong"}, "rejects the key"),
    ],
)
async def test_a_key_that_cannot_work_is_named(aws, environ, text):
    with pytest.raises(SecretStoreError, match=text) as caught:
        await read(client_of(aws, environ))
    assert not caught.value.transient


async def test_the_region_comes_from_settings_name_or_environment(aws):
    with pytest.raises(SecretStoreError, match="no region is set"):
        await read(client_of(aws, aws_region=None))
    environ = aws.environment | {"AWS_DEFAULT_REGION": REGION}
    assert await read(client_of(aws, environ, aws_region=None)) == "secret-key"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none", "no such secret"),
        ("denied", r"Give it secretsmanager:GetSecretValue on it.*\(400 AccessDeniedException\)"),
    ],
)
async def test_a_lasting_fault_names_the_remedy_and_nothing_of_the_account(aws, name, text):
    aws.denied.add("denied")
    with pytest.raises(SecretStoreError, match=text) as caught:
        await read(client_of(aws), f"aws-secrets-manager:{name}")
    assert not caught.value.transient
    assert "assumed-role" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (faults.respond_with(400, '{"__type": "ThrottlingException"}'), "limits requests"),
        (faults.respond_with(500, '{"__type": "InternalServiceError"}'), "AWS failed"),
        (faults.respond_with(503, "<html>"), "AWS failed"),
        (faults.reset(), "did not answer"),
    ],
)
async def test_a_passing_fault_may_be_tried_again(aws, fault, text):
    aws.fault(fault, rate=1.0)
    with pytest.raises(SecretStoreError, match=text) as caught:
        await read(client_of(aws))
    assert caught.value.transient

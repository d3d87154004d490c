import gzip
import io
import json

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.identity.aio import DefaultAzureCredential
from azure.monitor.ingestion.aio import LogsIngestionClient

from simulators import faults
from simulators.azure import faults as azure_faults
from simulators.azure.world import HISTORY, AzureWorld
from tests.support.azure_client import make_row, running_azure


@pytest.mark.parametrize("kind", ["managed-identity", "imds", "client-secret", "workload-identity"])
async def test_the_real_client_signs_in_and_stores_a_row(kind, monkeypatch):
    """With the environment alone, azure-identity gets a token and azure-monitor-ingestion a 204."""
    async with AzureWorld() as azure:
        for name, value in azure.environment(kind).items():
            monkeypatch.setenv(name, value)
        trust = {"connection_verify": str(azure.ca_file)}
        async with (
            DefaultAzureCredential(**trust) as credential,
            LogsIngestionClient(azure.secure_endpoint, credential, **trust) as client,
        ):
            body = io.BytesIO(gzip.compress(json.dumps([make_row(1)] * 100).encode()))
            await client.upload(azure.rule_id, azure.stream, body)
        (call,) = azure.calls
        assert (call.status, call.rows, call.stored) == (204, 100, True)
        assert call.wire_bytes < call.raw_bytes == len(json.dumps([make_row(1)] * 100))
        assert azure.accepted() == 100
        assert azure.rows()[0]["EventUid"] == "acme/1"


async def test_the_real_client_may_use_http_on_loopback(monkeypatch):
    """With `enforce_https=False`, the SDK needs no certificate, and raises its own error for each fault."""
    async with AzureWorld() as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        async with (
            DefaultAzureCredential() as credential,
            LogsIngestionClient(azure.endpoint, credential, retry_total=0) as client,
        ):
            await client.upload(azure.rule_id, azure.history_stream, [make_row(1)], enforce_https=False)
            assert [stored["EventId"] for stored in azure.rows(HISTORY)] == [1]
            azure.fault(azure_faults.throttled(3))
            with pytest.raises(HttpResponseError) as caught:
                await client.upload(azure.rule_id, azure.stream, [make_row(2)], enforce_https=False)
            assert caught.value.response.headers["Retry-After"] == "3"
            azure.fault(faults.reset(after_processing=True))
            with pytest.raises(ServiceRequestError):
                await client.upload(azure.rule_id, azure.stream, [make_row(2)], enforce_https=False)
            azure.identity.publishers.clear()
            with pytest.raises(HttpResponseError, match="does not have access") as caught:
                await client.upload(azure.rule_id, azure.stream, [make_row(2)], enforce_https=False)
            assert (caught.value.status_code, caught.value.error.code) == (403, "OperationFailed")
        assert azure.identity.token_requests == 1


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"AZURE_CLIENT_SECRET": "wrong"}, "AADSTS7000215"),
        ({"AZURE_CLIENT_ID": "wrong"}, "AADSTS700016"),
        ({"AZURE_TENANT_ID": "wrong"}, "AADSTS90002"),
    ],
)
async def test_the_authority_refuses_a_wrong_application(change, asked, monkeypatch):
    """A wrong secret, application or tenant gets Entra's error number."""
    async with AzureWorld() as azure:
        for name, value in (azure.environment("client-secret") | change).items():
            monkeypatch.setenv(name, value)
        async with DefaultAzureCredential(connection_verify=str(azure.ca_file)) as credential:
            with pytest.raises(ClientAuthenticationError, match=asked):
                await credential.get_token("https://monitor.azure.com/.default")


async def test_a_token_fault_leaves_ingestion_alone(monkeypatch):
    """A fault on "token" fails token requests, while ingestion calls succeed."""
    async with running_azure() as (azure, sender):
        monkeypatch.setenv("IDENTITY_ENDPOINT", azure.environment()["IDENTITY_ENDPOINT"])
        monkeypatch.setenv("IDENTITY_HEADER", azure.identity.header)
        broken = azure.fault(azure_faults.no_token(400), on="token", rate=1)
        async with DefaultAzureCredential() as credential:
            with pytest.raises(ClientAuthenticationError):
                await credential.get_token("https://monitor.azure.com/.default")
            assert (await sender.send([make_row(1)]))[0] == 204
            broken.cancel()
            token = await credential.get_token("https://monitor.azure.com/.default")
        assert token.token in azure.identity.secrets()


async def test_tokens_expire_and_can_be_revoked():
    """A token is valid for `token_seconds`, or until `revoke`."""
    async with running_azure() as (azure, sender):
        double_slash = azure.identity._issue(azure.identity.application_client, "https://monitor.azure.com/")
        assert (await sender.send([make_row(1)], token=double_slash))[0] == 204
        azure.identity.token_seconds = 0
        short = azure.identity._issue(azure.identity.application_client, "https://monitor.azure.com")
        assert (await sender.send([make_row(1)], token=short))[0] == 401
        assert (await sender.send([make_row(1)]))[0] == 204
        azure.identity.revoke()
        assert (await sender.send([make_row(1)]))[0] == 401

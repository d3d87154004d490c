import asyncio
import json
import logging
import os
import time

import pytest
from azure.core.exceptions import ClientAuthenticationError

from consumer.destinations.azure_ingestion.client import IngestionClient
from consumer.destinations.azure_ingestion.credentials import RenewableCredential
from consumer.destinations.outcome import Paused, Retry, Sent
from consumer.destinations.sentinel.config import SentinelConfig
from simulators.azure import faults as azure_faults
from simulators.azure.identity import AUDIENCE
from simulators.azure.world import AzureWorld
from tests.support.ingestion_world import body, destination, ingestion_world, row, set_credentials
from tests.support.sending import sent_at_last


@pytest.mark.parametrize("credential", ["managed-identity", "client-secret", "workload-identity", "default"])
async def test_rows_arrive_with_each_kind_of_credential(credential, monkeypatch):
    async with AzureWorld() as azure:
        set_credentials(azure, "managed-identity" if credential == "default" else credential, monkeypatch)
        async with IngestionClient("sentinel", destination(azure, credential=credential), 60.0) as client:
            outcome = await client.send(azure.stream, body([row(1), row(2)]))

        assert outcome == Sent()
        assert [each["EventUid"] for each in azure.rows()] == ["acme/1", "acme/2"]


async def test_an_expired_token_is_replaced_without_a_word(monkeypatch):
    async with ingestion_world(monkeypatch) as (azure, send):
        await send(1)
        azure.identity.revoke()
        outcomes = await asyncio.gather(*(send(number) for number in range(2, 8)))

        assert outcomes == [Sent()] * 6
        assert azure.accepted() == 7
        assert azure.identity.token_requests == 2


async def test_requests_that_wait_share_one_run_of_the_command_line(monkeypatch, tmp_path):
    """`az` keeps no token for the program: each request that asked for itself would wait for the runs of those before it."""
    runs, token = tmp_path / "runs", tmp_path / "token.json"
    program = tmp_path / "az"
    program.write_text(f"#!/bin/sh\necho run >> {runs}\ncat {token}\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    async with AzureWorld() as azure:

        async def send_together():
            issued = azure.identity._issue(azure.identity.application_client, AUDIENCE)
            token.write_text(json.dumps({"accessToken": issued, "expires_on": int(time.time()) + 3_600}))
            sends = (client.send(azure.stream, body([row(number)])) for number in range(8))
            assert await asyncio.gather(*sends) == [Sent()] * 8
            return len(runs.read_text().split())

        async with IngestionClient("sentinel", destination(azure, credential="azure-cli"), 60.0) as client:
            assert await send_together() == 1
            azure.identity.revoke()
            assert await send_together() == 2


async def test_a_late_refusal_of_the_old_token_leaves_the_new_one_alone(monkeypatch):
    async with ingestion_world(monkeypatch) as (azure, _):
        credential = RenewableCredential("sentinel", destination(azure))
        await credential.get_token("https://monitor.azure.com/.default")
        await credential.renew(0)
        await credential.get_token("https://monitor.azure.com/.default")
        await credential.renew(0)
        await credential.get_token("https://monitor.azure.com/.default")
        await credential.close()
        assert azure.identity.token_requests == 2


async def test_a_new_token_that_is_refused_too_is_a_fault_of_the_setup(monkeypatch):
    async with ingestion_world(monkeypatch) as (azure, send):
        azure.fault(azure_faults.unauthorized(), times=2)
        outcome = await send(1)

        assert (type(outcome), outcome.status, len(azure.calls)) == (Paused, 401, 2)
        assert "destinations.sentinel.credential" in outcome.reason
        assert await send(1) == Sent()


async def test_a_wrong_secret_pauses_and_the_right_one_goes_on(monkeypatch):
    """Variables and files of a credential that failed are read again."""
    async with ingestion_world(monkeypatch, credential="client-secret") as (azure, send):
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "a-wrong-secret")
        refused = await send(1)
        monkeypatch.setenv("AZURE_CLIENT_SECRET", azure.identity.client_secret)

        assert isinstance(refused, Paused)
        assert "AADSTS7000215" in refused.reason
        assert "a-wrong-secret" not in refused.reason
        assert await send(1) == Sent()


async def test_an_authority_that_fails_is_waited_for(monkeypatch):
    async with ingestion_world(monkeypatch, timeout_seconds=2.5) as (azure, send):
        outage = azure.fault(azure_faults.no_token(503), on="token", rate=1)
        assert isinstance(await send(1), Retry)
        outage.cancel()
        await sent_at_last(lambda: send(1))


async def test_a_credential_that_lacks_its_variables_pauses(monkeypatch):
    async with ingestion_world(monkeypatch) as (azure, _):
        for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
            monkeypatch.delenv(name, raising=False)
        for kind in ("client-secret", "workload-identity"):
            async with IngestionClient("sentinel", destination(azure, credential=kind), 60.0) as client:
                outcome = await client.send(azure.stream, body([row(1)]))
            assert isinstance(outcome, Paused)
            assert "destinations.sentinel.credential" in outcome.reason


@pytest.mark.parametrize("said", ["Azure CLI not found on path", "Azure CLI not found on path."])
def test_the_cause_ends_with_one_full_stop(said):
    """The sentence of azure-identity may lack its full stop; the remedy is a sentence of its own."""
    config = SentinelConfig(
        kind="sentinel",
        endpoint="https://a.ingest.monitor.azure.com",
        rule_id="dcr-" + 32 * "0",
        credential="azure-cli",
    )
    outcome = RenewableCredential("sentinel", config)._classify(ClientAuthenticationError(said))
    assert ": Azure CLI not found on path. Check destinations.sentinel.credential" in outcome.reason


async def test_no_token_and_no_secret_is_ever_logged(monkeypatch, caplog):
    with caplog.at_level(logging.DEBUG):
        async with ingestion_world(monkeypatch, credential="client-secret") as (azure, send):
            azure.fault(azure_faults.unauthorized())
            azure.fault(azure_faults.unavailable(503))
            outcomes = [await send(number) for number in range(3)]
        assert [secret for secret in azure.identity.secrets() if secret in caplog.text + repr(outcomes)] == []

"""Azure Blob Storage and Google Cloud Storage: each event once, by the credential and the condition of each."""

from contextlib import asynccontextmanager

import pytest

from consumer.destinations.object_store import clients
from consumer.destinations.outcome import Paused, Retry, Sent
from simulators import faults
from simulators.object_store.azure_blob import azure_container, sas_token
from simulators.object_store.gcs import gcs_bucket, service_account
from tests.support.object_stores import body, opened, uids
from tests.support.parquet_objects import stored_uids


@asynccontextmanager
async def azure(directory):
    async with azure_container() as container:
        (directory / "credential").write_text(sas_token(container))
        async with opened(
            "az://acmeaudit/audit/jira",
            endpoint=container.endpoint,
            credential_file=directory / "credential",
        ) as flows:
            yield container, flows["live"]


@asynccontextmanager
async def google(directory):
    async with gcs_bucket() as bucket:
        (directory / "credential").write_text(service_account(bucket))
        async with opened(
            "gs://audit/jira", endpoint=bucket.endpoint, credential_file=directory / "credential"
        ) as flows:
            yield bucket, flows["live"]


CLOUDS = pytest.mark.parametrize("cloud", [azure, google], ids=lambda cloud: cloud.__name__)


@CLOUDS
async def test_other_boundaries_after_a_lost_answer_repeat_nothing(cloud, tmp_path):
    async with cloud(tmp_path) as (bucket, live):
        assert await live.probe() == Sent()
        bucket.fault(faults.reset(after_processing=True), only=lambda request: request.method == "PUT")
        assert isinstance(await live.send(body(live, range(10, 20))), Retry)
        for part in (range(10, 14), range(14, 25), range(25, 30)):
            assert await live.send(body(live, part)) == Sent()
        assert stored_uids(bucket.objects) == uids(range(10, 30))
        assert all(key.startswith("jira/live/day=2025-11-22/events-00000-") for key in bucket.objects)


@CLOUDS
async def test_a_long_listing_is_read_to_its_end(cloud, tmp_path):
    async with cloud(tmp_path) as (bucket, live):
        assert await live.send(body(live, range(9_000, 9_010))) == Sent()
        (key,) = bucket.objects
        for number in range(2_500):
            bucket.objects[key.replace("9000", f"{number:04d}")] = b""
        async with cloud(tmp_path) as (other, successor):
            other.objects = bucket.objects
            assert await successor.send(body(successor, range(9_005, 9_012))) == Sent()
        written = {key: content for key, content in bucket.objects.items() if content}
        assert stored_uids(written) == uids(range(9_000, 9_012))


@CLOUDS
async def test_a_store_that_ignores_the_condition_gets_no_event(cloud, tmp_path):
    async with cloud(tmp_path) as (bucket, live):
        bucket.obeys_condition = False
        assert isinstance(await live.send(body(live, [1])), Paused)
        assert stored_uids(bucket.objects) == []


@CLOUDS
async def test_a_missing_container_is_named(cloud, tmp_path):
    async with cloud(tmp_path) as (bucket, live):
        bucket.name = "other"
        outcome = await live.send(body(live, [1]))
        assert isinstance(outcome, Paused)
        assert "does not exist (404 Not Found" in outcome.reason
        bucket.name = "audit"
        assert await live.send(body(live, [1])) == Sent()


async def test_a_new_sas_token_needs_no_restart_and_none_is_shown(tmp_path):
    async with azure(tmp_path) as (container, live):
        assert await live.send(body(live, [1])) == Sent()
        container.keys["sas"] = "YW5vdGhlci1zaWduYXR1cmU="
        outcome = await live.send(body(live, [2]))
        assert isinstance(outcome, Paused)
        assert "sig" not in outcome.reason
        (tmp_path / "credential").write_text(sas_token(container))
        assert await live.send(body(live, [2])) == Sent()


class Credential:
    """An identity of Azure whose token a test chooses."""

    def __init__(self, token):
        self.token = token
        self.closed = 0

    async def get_token(self, scope):
        assert scope == "https://storage.azure.com/.default"
        if isinstance(self.token, Exception):
            raise self.token
        return type("Token", (), {"token": self.token, "expires_on": 4_000_000_000})

    async def close(self):
        self.closed += 1


async def test_azure_takes_the_token_of_an_identity(monkeypatch):
    """A refused token is replaced by a new one of the same identity, which may have got its role meanwhile."""
    async with azure_container() as container:
        identities = [Credential("an-old-token"), Credential(container.keys["token"])]
        waiting = list(identities)
        monkeypatch.setattr(clients, "open_credential", lambda *_: waiting.pop(0))
        async with opened("az://acmeaudit/audit/jira", endpoint=container.endpoint) as flows:
            assert await flows["live"].send(body(flows["live"], [1])) == Sent()
        assert [each.closed for each in identities] == [1, 1]


async def test_an_identity_without_a_token_pauses_with_its_reason(monkeypatch):
    async with azure_container() as container:
        monkeypatch.setattr(
            clients, "open_credential", lambda *_: Credential(ValueError("AZURE_TENANT_ID is not set"))
        )
        async with opened("az://acmeaudit/audit/jira", endpoint=container.endpoint) as flows:
            outcome = await flows["live"].probe()
            assert isinstance(outcome, Paused)
            assert "AZURE_TENANT_ID is not set" in outcome.reason
            assert "destinations.lake.credential" in outcome.reason

import asyncio
import json
import logging
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split
from consumer.destinations.sentinel import rows
from consumer.destinations.sentinel.client import IngestionClient, check_endpoint
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.destinations.sentinel.credentials import RenewableCredential
from consumer.destinations.sentinel.response import IngestionResponse, IngestionTarget, classify
from consumer.formats.encoded_rows import EncodedRows
from relay.errors import RelayError
from simulators import faults
from simulators.azure import faults as azure_faults
from simulators.azure.world import AzureWorld

TARGET = IngestionTarget("sentinel", "dcr-" + 32 * "0", "Custom-JiraAuditRelay")
NOW_MS = 1_763_800_000_000


def row(number):
    return json.dumps({"EventId": number, "EventUid": f"acme/{number}"}).encode()


def body(encoded):
    return rows.encode_body(EncodedRows.of(encoded, b","))


def set_credentials(azure, credential, monkeypatch):
    for name, value in azure.environment(credential).items():
        monkeypatch.setenv(name, value)
    # aiohttp reads SSL_CERT_FILE once, when it is imported
    connector = aiohttp.connector
    monkeypatch.setattr(connector, "_SSL_CONTEXT_VERIFIED", connector._make_ssl_context(verified=True))


def destination(azure, **fields):
    given = {"endpoint": azure.endpoint, "rule_id": azure.rule_id, "credential": "managed-identity", **fields}
    return SentinelConfig(kind="sentinel", **given)


@asynccontextmanager
async def ingestion_world(monkeypatch, *, credential="managed-identity", timeout_seconds=10.0, **fields):
    async with AzureWorld() as azure:
        set_credentials(azure, credential, monkeypatch)
        target = destination(azure, credential=credential, **fields)
        async with IngestionClient("sentinel", target, timeout_seconds) as client:
            yield (
                azure,
                lambda *numbers: client.send(azure.stream, body([row(n) for n in numbers])),
            )


@pytest.mark.parametrize("credential", ["managed-identity", "client-secret", "workload-identity", "default"])
async def test_rows_arrive_with_each_kind_of_credential(credential, monkeypatch):
    async with AzureWorld() as azure:
        set_credentials(azure, "managed-identity" if credential == "default" else credential, monkeypatch)
        async with IngestionClient("sentinel", destination(azure, credential=credential), 10.0) as client:
            outcome = await client.send(azure.stream, body([row(1), row(2)]))

        assert outcome == Sent()
        assert [each["EventUid"] for each in azure.rows()] == ["acme/1", "acme/2"]


async def test_rows_arrive_over_tls(monkeypatch):
    async with AzureWorld() as azure:
        set_credentials(azure, "client-secret", monkeypatch)
        target = destination(azure, credential="client-secret", endpoint=azure.secure_endpoint)
        async with IngestionClient("sentinel", target, 10.0) as client:
            assert await client.send(azure.stream, body([row(1)])) == Sent()


async def test_nothing_in_clear_goes_through_a_proxy(monkeypatch):
    """Neither a token nor what it is asked for with is shown to a proxy on its way within this machine."""
    seen = []

    async def listen(reader, writer):
        seen.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as proxy, AzureWorld() as azure:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        set_credentials(azure, "managed-identity", monkeypatch)
        async with IngestionClient("sentinel", destination(azure), 10.0) as client:
            assert await client.send(azure.stream, body([row(1)])) == Sent()
    assert seen == []


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (azure_faults.throttled(), Retry, 429),
        (azure_faults.throttled("soon, we hope"), Retry, 429),
        (azure_faults.unavailable(500), Retry, 500),
        (azure_faults.unavailable(503), Retry, 503),
        (azure_faults.gateway_page(502), Retry, 502),
        (azure_faults.gateway_page(200), Retry, 200),
        (azure_faults.ingestion_error(408, "Timeout", ""), Retry, 408),
        (faults.reset(), Retry, None),
        (faults.reset(after_processing=True), Retry, None),
        (azure_faults.forbidden(), Paused, 403),
        (azure_faults.rule_not_found(), Paused, 404),
        (azure_faults.gateway_page(407), Paused, 407),
        (faults.respond_with(302, headers={"Location": "https://example.com/"}), Paused, 302),
        (azure_faults.broken_rule(), Reject, 400),
        (azure_faults.gateway_page(400), Reject, 400),
        (azure_faults.too_large(), Split, 413),
    ],
)
async def test_a_response_is_classified_as_what_to_do(fault, kind, status, monkeypatch):
    async with ingestion_world(monkeypatch) as (azure, send):
        azure.fault(fault)
        outcome = await send(1)

        assert (type(outcome), outcome.status) == (kind, status)
        assert len(azure.calls) == 1
        assert await send(2) == Sent()


@pytest.mark.parametrize("fault", [faults.truncated_body(), faults.reset_in_body()])
async def test_an_answer_that_comes_only_in_part_is_no_answer(fault, monkeypatch):
    async with ingestion_world(monkeypatch, rule_id="dcr-" + "1" * 32) as (azure, send):
        azure.fault(fault)
        assert isinstance(await send(1), Retry)
        assert isinstance(await send(1), Paused)


@pytest.mark.parametrize(
    ("status", "content"), [(200, b"not gzip"), (200, b"x"), (400, b"not gzip"), (503, b"x")]
)
async def test_an_answer_in_a_wrong_encoding_is_no_exception(status, content, monkeypatch):
    """A proxy that says gzip and sends something else raises zlib.error deep within the library."""
    async with ingestion_world(monkeypatch) as (azure, send):
        azure.fault(faults.respond_with(status, content, headers={"Content-Encoding": "gzip"}))
        outcome = await send(1)
        assert isinstance(outcome, Retry)
        assert outcome.reason
        assert await send(1) == Sent()


async def test_any_exception_of_the_library_is_a_retry_with_its_name(monkeypatch):
    async with AzureWorld() as azure:
        set_credentials(azure, "managed-identity", monkeypatch)
        async with IngestionClient("sentinel", destination(azure), 10.0) as client:

            async def upload(*_args, **_options):
                raise LookupError("made up")

            monkeypatch.setattr(client._client, "upload", upload)
            outcome = await client.send(azure.stream, body([row(1)]))
    assert isinstance(outcome, Retry)
    assert "LookupError: made up" in outcome.reason


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_an_empty_answer_of_success_is_success(status, monkeypatch):
    async with ingestion_world(monkeypatch) as (azure, send):
        azure.fault(faults.respond_with(status))
        assert await send(1) == Sent()


async def test_an_expired_token_is_replaced_without_a_word(monkeypatch):
    async with ingestion_world(monkeypatch) as (azure, send):
        await send(1)
        azure.identity.revoke()
        outcomes = await asyncio.gather(*(send(number) for number in range(2, 8)))

        assert outcomes == [Sent()] * 6
        assert azure.accepted() == 7
        assert azure.identity.token_requests == 2


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


async def test_no_role_on_the_rule_says_which_role_to_give(monkeypatch):
    async with ingestion_world(monkeypatch) as (azure, send):
        azure.identity.publishers.clear()
        outcome = await send(1)
        assert isinstance(outcome, Paused)
        assert "Monitoring Metrics Publisher" in outcome.reason
        assert azure.rule_id in outcome.reason


async def test_a_wrong_rule_says_what_to_check(monkeypatch):
    async with ingestion_world(monkeypatch, rule_id="dcr-" + "1" * 32) as (_, send):
        outcome = await send(1)
        assert isinstance(outcome, Paused)
        assert "destinations.sentinel.endpoint, .rule_id, .stream" in outcome.reason


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
    async with ingestion_world(monkeypatch, timeout_seconds=1.0) as (azure, send):
        outage = azure.fault(azure_faults.no_token(503), on="token", rate=1)
        assert isinstance(await send(1), Retry)
        outage.cancel()
        assert await send(1) == Sent()


async def test_a_credential_that_lacks_its_variables_pauses(monkeypatch):
    async with ingestion_world(monkeypatch) as (azure, _):
        for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
            monkeypatch.delenv(name, raising=False)
        for kind in ("client-secret", "workload-identity"):
            async with IngestionClient("sentinel", destination(azure, credential=kind), 10.0) as client:
                outcome = await client.send(azure.stream, body([row(1)]))
            assert isinstance(outcome, Paused)
            assert "destinations.sentinel.credential" in outcome.reason


async def test_an_answer_that_never_comes_ends_within_the_time_given(monkeypatch):
    async with ingestion_world(monkeypatch, timeout_seconds=0.3) as (azure, send):
        azure.fault(faults.hang(2))
        started = time.monotonic()
        outcome = await send(1)
        assert time.monotonic() - started < 1.5
        assert isinstance(outcome, Retry)


async def test_no_token_and_no_secret_is_ever_logged(monkeypatch, caplog):
    with caplog.at_level(logging.DEBUG):
        async with ingestion_world(monkeypatch, credential="client-secret") as (azure, send):
            azure.fault(azure_faults.unauthorized())
            azure.fault(azure_faults.unavailable(503))
            outcomes = [await send(number) for number in range(3)]
        assert [secret for secret in azure.identity.secrets() if secret in caplog.text + repr(outcomes)] == []


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"endpoint": "https://relay-a1b2.westeurope-1.ingest.monitor.azure.com"}, True),
        ({"endpoint": "https://a.ingest.monitor.azure.us", "cloud": "usgov"}, True),
        ({"endpoint": "https://a.ingest.monitor.azure.cn", "cloud": "china"}, True),
        ({"endpoint": "http://127.0.0.1:8000"}, True),
        ({"endpoint": "https://localhost:8000"}, True),
        ({"endpoint": "https://evil.example.com"}, False),
        ({"endpoint": "https://ingest.monitor.azure.com.evil.example"}, False),
        ({"endpoint": "https://a.ingest.monitor.azure.com:444"}, False),
        ({"endpoint": "https://monitor.azure.com"}, False),
    ],
)
def test_a_token_goes_to_azure_monitor_and_to_this_machine_alone(fields, allowed):
    target = SentinelConfig(kind="sentinel", rule_id="dcr-" + 32 * "0", **fields)
    if allowed:
        check_endpoint("sentinel", target)
    else:
        with pytest.raises(RelayError, match=r"destinations\.sentinel\.endpoint"):
            check_endpoint("sentinel", target)


def retry_after(**headers):
    response = IngestionResponse(429, {name.replace("_", "-"): value for name, value in headers.items()}, b"")
    return classify(response, TARGET, NOW_MS).after


def test_retry_after_is_read_in_each_of_its_forms():
    retry_at = datetime.fromtimestamp(NOW_MS / 1000, UTC) + timedelta(seconds=30)
    assert retry_after(Retry_After="7") == 7
    assert retry_after(Retry_After=format_datetime(retry_at, usegmt=True)) == 30
    assert retry_after(retry_after_ms="1500") == 1.5
    assert retry_after(Retry_After="99999999") == 900
    assert retry_after(Retry_After="-5") == 0
    assert retry_after(Retry_After="soon") is None
    assert retry_after() is None


@given(st.integers(100, 599), st.binary(max_size=60), st.text(max_size=30))
def test_every_answer_means_something(status, content, retry_after):
    """No answer, however odd, is an exception; none but an empty success counts as sent."""
    outcome = classify(IngestionResponse(status, {"Retry-After": retry_after}, content), TARGET, NOW_MS)
    assert isinstance(outcome, Sent | Retry | Split | Reject | Paused)
    assert not isinstance(outcome, Sent) or (status in (200, 202, 204) and not content.strip())


def test_a_rejection_tells_azures_own_error_and_the_id_for_a_support_ticket():
    error = {"error": {"code": "InvalidData", "message": "Bad\nrow\t7"}}
    response = IngestionResponse(400, {"x-ms-request-id": "r-1"}, json.dumps(error).encode())
    assert classify(response, TARGET, NOW_MS) == Reject("400 InvalidData Bad row 7 request r-1", 400)

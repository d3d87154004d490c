import asyncio
import gzip
import re
import time
import tracemalloc
import zlib

import pytest

from consumer.destinations.azure_ingestion import connections
from consumer.destinations.azure_ingestion.client import IngestionClient, check_endpoint
from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split
from consumer.destinations.sentinel.config import SentinelConfig
from relay.errors import RelayError
from simulators import faults
from simulators.azure import faults as azure_faults
from simulators.azure.world import AzureWorld
from tests.support.ingestion_world import body, destination, ingestion_world, row, set_credentials


async def test_rows_arrive_over_tls(monkeypatch):
    async with AzureWorld() as azure:
        set_credentials(azure, "client-secret", monkeypatch)
        target = destination(azure, credential="client-secret", endpoint=azure.secure_endpoint)
        async with IngestionClient("sentinel", target, 60.0) as client:
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
        async with IngestionClient("sentinel", destination(azure), 60.0) as client:
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
    ("encoding", "content"),
    [("gzip", b"not gzip"), ("gzip", b"x"), ("gzip", gzip.compress(b"{}")[:-4]), ("br", b"\x0b\x02")],
    ids=["other", "short", "cut", "not asked for"],
)
async def test_the_status_of_an_error_decides_where_its_content_cannot_be_read(
    encoding, content, monkeypatch
):
    """A gateway compresses in a way of its own. A body that is too large, sent whole for ever, would stop the destination."""
    kinds = {200: Retry, 400: Reject, 403: Paused, 413: Split, 429: Retry, 503: Retry}
    async with ingestion_world(monkeypatch) as (azure, send):
        for status, kind in kinds.items():
            azure.fault(faults.respond_with(status, content, headers={"Content-Encoding": encoding}))
            outcome = await send(1)
            assert isinstance(outcome, kind)
            assert outcome.reason
            assert outcome.status == (None if status == 200 else status)
        azure.fault(faults.respond_with(401, content, headers={"Content-Encoding": encoding}))
        assert await send(1) == Sent()  # with a new token


@pytest.mark.parametrize("encoding", ["gzip", "deflate", None])
@pytest.mark.parametrize(("status", "kind"), [(200, Retry), (400, Reject), (403, Paused), (503, Retry)])
async def test_an_answer_without_end_is_read_to_a_bound(status, kind, encoding, monkeypatch):
    """A megabyte on the wire may be a gigabyte; the status of an error decides all the same."""
    content = b" " * 20_000_000
    if encoding is not None:
        packer = zlib.compressobj(1, wbits=31 if encoding == "gzip" else -15)
        content = packer.compress(content) + packer.flush()
    async with ingestion_world(monkeypatch) as (azure, send):
        headers = {"x-ms-error-code": "X"} | ({"Content-Encoding": encoding} if encoding else {})
        azure.fault(faults.respond_with(status, content, headers=headers))
        tracemalloc.start()
        outcome = await send(1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert isinstance(outcome, kind)
        assert ("more than 1048576 bytes" in outcome.reason) == (status == 200)
        assert encoding is None or peak < 10_000_000
        assert await send(1) == Sent()


async def test_any_exception_of_the_library_is_a_retry_with_its_name(monkeypatch):
    async with AzureWorld() as azure:
        set_credentials(azure, "managed-identity", monkeypatch)
        async with IngestionClient("sentinel", destination(azure), 60.0) as client:

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


@pytest.mark.parametrize(
    ("secure", "reason"),
    [
        (True, r"no connection to 127\.0\.0\.1:\d+: none within 0\.2 s"),
        (False, "closed .* without an answer"),
    ],
)
async def test_a_silent_endpoint_is_named(secure, reason, monkeypatch):
    """A firewall drops what is sent, or a gateway ends a connection just as a request comes."""

    async def serve(reader, writer):
        await (reader.read() if secure else reader.read(100))
        writer.close()

    monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.2)
    async with AzureWorld() as azure, await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        set_credentials(azure, "managed-identity", monkeypatch)
        url = f"http{'s' * secure}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with IngestionClient("sentinel", destination(azure, endpoint=url), 60.0) as client:
            outcome = await client.send(azure.stream, body([row(1)]))
    assert isinstance(outcome, Retry)
    assert re.search(reason, outcome.reason)


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


async def test_an_answer_that_never_comes_ends_within_the_time_given(monkeypatch):
    async with ingestion_world(monkeypatch, timeout_seconds=0.3) as (azure, send):
        azure.fault(faults.hang(60))
        started = time.monotonic()
        outcome = await send(1)
        assert time.monotonic() - started < 30
        assert isinstance(outcome, Retry)


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

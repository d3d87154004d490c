import asyncio
import gzip
import io
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.identity.aio import DefaultAzureCredential
from azure.monitor.ingestion.aio import LogsIngestionClient

from simulators import faults
from simulators.azure import faults as azure_faults
from simulators.azure.rule import SilentLosses
from simulators.azure.world import HISTORY, LIVE, AzureWorld

MIB = 1024 * 1024


def make_row(number, **columns):
    return {"EventId": number, "EventUid": f"acme/{number}", **columns}


class Sender:
    """Plain HTTP with a valid token, so that a test can send what no SDK would."""

    def __init__(self, azure, session):
        self.azure = azure
        self.session = session
        self.token = azure.identity._issue(azure.identity.application_client, "https://monitor.azure.com")

    async def send(self, rows, **changes):
        body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
        return await self.post(body, **changes)

    async def post(self, body, *, rule=None, stream=None, version="2023-01-01", token=None, headers=None):
        path = f"/dataCollectionRules/{rule or self.azure.rule_id}/streams/{stream or self.azure.stream}"
        sent = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        async with self.session.post(
            f"{self.azure.endpoint}{path}",
            params={"api-version": version} if version else {},
            data=io.BytesIO(body) if isinstance(body, bytes) else body,
            headers=sent | (headers or {}),
        ) as response:
            text = await response.text()
            error = json.loads(text)["error"] if response.content_type == "application/json" else {}
            return response.status, error, response.headers


@asynccontextmanager
async def running_azure(**options):
    async with (
        AzureWorld(**options) as azure,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session,
    ):
        yield azure, Sender(azure, session)


@pytest.mark.parametrize("kind", ["managed-identity", "imds", "client-secret", "workload-identity"])
async def test_the_real_client_signs_in_and_stores_a_row(kind, monkeypatch):
    """azure-identity finds its token by the environment alone, and azure-monitor-ingestion gets its 204."""
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
    """With `enforce_https=False` neither certificate nor authority is needed."""
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
async def test_the_authority_refuses_what_entra_refuses(change, asked, monkeypatch):
    """A wrong secret, application or tenant gets Entra's own number."""
    async with AzureWorld() as azure:
        for name, value in (azure.environment("client-secret") | change).items():
            monkeypatch.setenv(name, value)
        async with DefaultAzureCredential(connection_verify=str(azure.ca_file)) as credential:
            with pytest.raises(ClientAuthenticationError, match=asked):
                await credential.get_token("https://monitor.azure.com/.default")


async def test_a_token_that_cannot_be_had_is_a_fault_of_its_own(monkeypatch):
    """Faults on "token" meet the authority alone."""
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


async def test_what_the_gateway_refuses():
    """Token, audience, rule, role, stream, version and content type are looked at, each with its own answer."""
    async with running_azure() as (azure, sender):
        foreign = azure.identity._issue(azure.identity.application_client, "https://management.azure.com")
        for status, code, changes in [
            (401, "InvalidToken", {"token": "made-up"}),
            (401, "InvalidToken", {"token": foreign}),
            (404, "NotFound", {"rule": "dcr-00000000000000000000000000000000"}),
            (404, "InvalidStream", {"stream": "Custom-Jira_Audit_v2_CL"}),
            (400, "InvalidApiVersion", {"version": None}),
            (415, "UnsupportedMediaType", {"headers": {"Content-Type": "text/plain"}}),
            (400, "InvalidContentEncoding", {"headers": {"Content-Encoding": "zstd"}}),
        ]:
            answered, error, headers = await sender.send([make_row(1)], **changes)
            assert (answered, error["code"], headers["x-ms-error-code"]) == (status, code, code)
            assert ("WWW-Authenticate" in headers) == (status == 401)
            assert headers["x-ms-request-id"] == azure.calls[-1].request_id
        azure.identity.publishers.clear()
        status, error, _headers = await sender.send([make_row(1)])
        assert (status, error["code"]) == (403, "OperationFailed")
        assert azure.rule_id in error["message"]
        assert azure.accepted() == 0


async def test_tokens_expire_and_can_be_revoked():
    """A token is good for `token_seconds`, or until `revoke()`."""
    async with running_azure() as (azure, sender):
        double_slash = azure.identity._issue(azure.identity.application_client, "https://monitor.azure.com/")
        assert (await sender.send([make_row(1)], token=double_slash))[0] == 204
        azure.identity.token_seconds = 0
        short = azure.identity._issue(azure.identity.application_client, "https://monitor.azure.com")
        assert (await sender.send([make_row(1)], token=short))[0] == 401
        assert (await sender.send([make_row(1)]))[0] == 204
        azure.identity.revoke()
        assert (await sender.send([make_row(1)]))[0] == 401


@pytest.mark.parametrize(
    "body",
    [b"[{", b"", b"null", b"1", b'[{"EventId": NaN}]', b"[1]", b'[{"EventMessage": "\xff"}]', b"[" * 100_000],
)
async def test_a_malformed_body_is_a_400(body):
    """Whatever is not a JSON array of objects in UTF-8 is refused whole."""
    async with running_azure() as (azure, sender):
        status, error, _headers = await sender.send(body)
        assert (status, error["code"]) == (400, "InvalidJson")
        assert azure.accepted() == 0


async def test_an_object_instead_of_an_array_is_lost_behind_a_204():
    """As in the real service: accepted, and no row."""
    async with running_azure() as (azure, sender):
        assert (await sender.send(make_row(1)))[0] == 204
        assert (await sender.send([]))[0] == 204
        assert azure.accepted() == 0


async def test_broken_gzip_is_a_400():
    """Cut, spoilt or followed by rubbish; several members are one body."""
    whole = gzip.compress(json.dumps([make_row(1)]).encode())
    packed = {"Content-Encoding": "gzip"}
    async with running_azure() as (azure, sender):
        for body in (
            whole[:-1],
            b"\x1f\x8b" + b"x" * 50,
            whole + b"rubbish",
            json.dumps([make_row(1)]).encode(),
        ):
            assert (await sender.post(body, headers=packed))[1].get("code") == "InvalidGzip"
        assert (await sender.post(gzip.compress(b"[") + gzip.compress(b"]"), headers=packed))[0] == 204
        assert (await sender.post(whole, headers=packed))[0] == 204
        assert azure.accepted() == 1


async def test_a_call_may_have_a_mebibyte_and_not_a_byte_more():
    """Content-Length is held against 1,048,576; when strict, the unpacked body too."""
    largest = b"[]".ljust(MIB)
    async with running_azure() as (azure, sender):
        assert (await sender.post(largest))[0] == 204
        assert (await sender.post(largest + b" "))[0] == 413
        status, error, _headers = await sender.post(largest * 3)
        assert (status, error["code"]) == (413, "ContentLengthLimitExceeded")
        assert "Maximum allowed content length: 1048576 bytes (1 MB)" in error["message"]
        assert f"{3 * MIB} bytes" in error["message"]
        packed = {"Content-Encoding": "gzip"}
        assert (await sender.post(gzip.compress(largest), headers=packed))[0] == 204
        assert (await sender.post(gzip.compress(largest + b" "), headers=packed))[0] == 413
        assert [call.status for call in azure.calls] == [204, 413, 413, 204, 413]
    async with running_azure(strict=False) as (azure, sender):
        assert (await sender.post(gzip.compress(b"[]".ljust(50 * MIB), 1), headers=packed))[0] == 204
        assert (await sender.post(gzip.compress(b"[]".ljust(50 * MIB + 1), 1), headers=packed))[0] == 400


async def test_a_body_without_a_length_is_measured_too():
    """Chunked bodies meet the same limit."""

    async def pieces(size):
        yield b"[]".ljust(size)

    async with running_azure(strict=False) as (_azure, sender):
        assert (await sender.post(pieces(MIB)))[0] == 204
        assert (await sender.post(pieces(MIB + 1)))[0] == 413


async def test_throttling_says_when_to_come_back_in_every_form():
    """429 without, with seconds, with a date, with nonsense; each once."""
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=30)
    async with running_azure() as (azure, sender):
        for given in (None, 2, later, "soon"):
            azure.fault(azure_faults.throttled(given))
        found = []
        for _ in range(4):
            status, error, headers = await sender.send([make_row(1)])
            assert (status, error["code"]) == (429, "TooManyRequests")
            assert headers["x-ms-request-id"] == azure.calls[-1].request_id
            found.append(headers.get("Retry-After"))
        status, _error, headers = await sender.send([make_row(1)])
        assert (status, headers["x-ms-request-id"]) == (204, azure.calls[-1].request_id)
        assert [found[0], found[1], found[3]] == [None, "2", "soon"]
        assert found[2].endswith("GMT")
        assert parsedate_to_datetime(found[2]) == later


async def test_a_reset_leaves_open_whether_the_rows_were_stored():
    """`after_processing` is the ambiguous answer; its rows come twice when they are sent again."""
    async with running_azure() as (azure, sender):
        azure.fault(faults.reset())
        azure.fault(faults.reset(after_processing=True))
        for _ in range(2):
            with pytest.raises(aiohttp.ClientError):
                await sender.send([make_row(1)])
        assert [(call.status, call.stored) for call in azure.calls] == [(None, False), (None, True)]
        assert (await sender.send([make_row(1), make_row(2)]))[0] == 204
        assert azure.duplicates() == {"acme/1": 2}
        assert [arrival.number for arrival in azure.table().stored_rows] == [0, 1, 2]


async def test_a_hanging_call_is_seen_while_it_hangs():
    """A call stands in `calls` from its first moment, and a hang does not hold up the end."""
    async with running_azure() as (azure, sender):
        azure.fault(faults.hang())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sender.send([make_row(1)]), 0.05)
        assert [(call.status, call.fault) for call in azure.calls] == [(None, "hang")]


async def test_faults_follow_their_script():
    """For a time, a number of times or until cancelled; `clear_faults` ends all."""
    async with running_azure() as (azure, sender):
        azure.fault(azure_faults.unavailable(500), times=2)
        azure.fault(azure_faults.gateway_page(), skip=1)
        statuses = [(await sender.send([make_row(1)]))[0] for _ in range(5)]
        assert statuses == [500, 500, 204, 502, 204]
        broken = azure.fault(azure_faults.broken_rule(), rate=1)
        assert [(await sender.send(rows))[0] for rows in ([make_row(1)], [])] == [400, 400]
        broken.cancel()
        assert (await sender.send([make_row(1)]))[0] == 204
        for fault in (azure_faults.unauthorized(), azure_faults.forbidden(), azure_faults.rule_not_found()):
            azure.fault(fault, rate=1)
            statuses.append((await sender.send([make_row(1)]))[0])
            azure.clear_faults()
        azure.fault(azure_faults.too_large(), only=lambda request: "History" in request.path)
        statuses.append((await sender.send([make_row(1)]))[0])
        statuses.append((await sender.send([make_row(1)], stream=azure.history_stream))[0])
        assert statuses[5:] == [401, 403, 404, 204, 413]


async def test_a_poison_row_spoils_every_call_it_is_in():
    """400 for the whole body as long as the row is in it, by EventUid or by any predicate."""
    async with running_azure() as (azure, sender):
        poison = azure.poison("acme/2")
        assert (await sender.send([make_row(1), make_row(2)]))[0] == 400
        assert (await sender.send([make_row(1)]))[0] == 204
        assert (await sender.send([make_row(2)]))[0] == 400
        assert poison.refused_calls == 2
        poison.cancel()
        azure.poison(lambda stored: stored["EventId"] > 10)
        assert (await sender.send([make_row(2)]))[0] == 204
        assert (await sender.send([make_row(11)]))[0] == 400
        assert [stored["EventId"] for stored in azure.rows()] == [1, 2]


async def test_waiting_ends_with_the_call_that_fulfils_it():
    """`wait_until` looks after each call, and gives up in time."""
    async with running_azure() as (azure, sender):
        waiting = asyncio.create_task(azure.wait_until(lambda: azure.accepted() == 2))
        await sender.send([make_row(1)])
        assert not waiting.done()
        await sender.send([make_row(2)])
        await waiting
        with pytest.raises(TimeoutError):
            await azure.wait_until(lambda: False, seconds=0.01)


async def test_rows_kept_are_bounded_and_counted_all_the_same():
    """`keep_rows` forgets the oldest rows only."""
    async with running_azure(keep_rows=2) as (azure, sender):
        await sender.send([make_row(number) for number in (1, 1, 2, 3)])
        assert [stored["EventId"] for stored in azure.rows()] == [2, 3]
        assert (azure.accepted(), azure.accepted(HISTORY)) == (4, 0)
        assert azure.duplicates() == {"acme/1": 2}


async def test_each_stream_fills_its_table():
    """The rule stamps TimeGenerated itself, and nothing is lost of a whole row."""
    async with running_azure() as (azure, sender):
        await sender.send(
            [make_row(2**40, EventCreationTime="2025-05-01T01:36:46.173Z", AssociatedItems=[{}])]
        )
        await sender.send([make_row(1)], stream=azure.history_stream)
        (live,), (history,) = azure.rows(LIVE), azure.rows(HISTORY)
        assert (live["EventId"], history["EventId"]) == (2**40, 1)
        assert live["EventCreationTime"] == "2025-05-01T01:36:46.173Z"
        assert live["AssociatedItems"] == [{}]
        assert live["UserName"] is None
        stamped = datetime.fromisoformat(live["TimeGenerated"])
        assert abs(stamped - datetime.now(UTC)) < timedelta(seconds=10)
        assert azure.losses == SilentLosses()


async def test_the_deployment_prints_our_settings():
    """Its outputs are lines for the relay's environment."""
    async with AzureWorld() as azure:
        assert azure.outputs()["settings"] == [
            f"RELAY_DESTINATIONS__SENTINEL__ENDPOINT={azure.endpoint}",
            f"RELAY_DESTINATIONS__SENTINEL__RULE_ID={azure.rule_id}",
        ]

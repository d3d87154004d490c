"""A bucket of S3: conditional creation, answers that lie, rotated credentials, long listings."""

import asyncio

import pytest

from consumer.destinations.object_store import response
from consumer.destinations.outcome import Partial, Paused, Retry, Sent
from relay.credentials.redaction import Redactor
from relay.errors import RelayError
from simulators import faults
from simulators.object_store.bucket import error
from simulators.object_store.s3 import credential
from tests.support.object_stores import body, bucket_flows, opened, uids
from tests.support.parquet_objects import stored_uids


def puts(request):
    return request.method == "PUT" and "_relay" not in request.path


async def test_a_lost_answer_repeats_nothing(tmp_path):
    async with bucket_flows(tmp_path) as (bucket, flows):
        bucket.fault(faults.reset(after_processing=True), only=puts)
        sent = body(flows["live"], [1, 2, 3])
        assert isinstance(await flows["live"].send(sent), Retry)
        assert await flows["live"].send(sent) == Sent()
        assert await flows["live"].send(body(flows["live"], [4])) == Sent()
        assert stored_uids(bucket.objects) == uids([1, 2, 3, 4])


async def test_two_writers_at_a_time_create_one_object(tmp_path):
    async with bucket_flows(tmp_path) as (bucket, flows):
        live = flows["live"]
        await live.probe()
        bodies = [body(live, range(1, 1 + count)) for count in (3, 9, 5, 7)]
        assert await asyncio.gather(*map(live.send, bodies)) == [Sent()] * 4
        assert stored_uids(bucket.objects) == uids(range(1, 10))


@pytest.mark.parametrize(
    ("status", "code"), [(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")]
)
async def test_a_name_that_is_said_to_be_taken_and_is_not_is_tried_again(status, code, tmp_path):
    """S3 answers 409 while another request is under way, and that one may fail."""
    async with bucket_flows(tmp_path) as (bucket, flows):
        await flows["live"].probe()
        bucket.fault(faults.respond_with(status, error(status, code).body or b""), only=puts)
        outcome = await flows["live"].send(body(flows["live"], [1]))
        assert isinstance(outcome, Retry)
        assert "Another request may be creating it" in outcome.reason
        assert await flows["live"].send(body(flows["live"], [1])) == Sent()


@pytest.mark.parametrize("flow", ["live", "history"])
async def test_a_store_that_ignores_the_condition_gets_no_event(flow, tmp_path):
    async with bucket_flows(tmp_path) as (bucket, flows):
        bucket.obeys_condition = False
        for outcome in (await flows[flow].probe(), await flows[flow].send(body(flows[flow], [1]))):
            assert isinstance(outcome, Paused)
            assert "only if absent" in outcome.reason
        assert stored_uids(bucket.objects) == []


async def test_a_credential_file_that_was_replaced_is_read_at_the_next_refusal(tmp_path):
    """No request fails, and nothing is restarted."""
    async with bucket_flows(tmp_path) as (bucket, flows):
        assert await flows["live"].send(body(flows["live"], [1])) == Sent()
        bucket.keys = {"AKIDNEW": "another-secret-key"}
        (tmp_path / "credential").write_text(credential(bucket))
        assert await flows["live"].send(body(flows["live"], [2])) == Sent()
        (tmp_path / "credential").unlink()
        bucket.keys = {"AKIDNEWEST": "the-newest-secret-key"}
        outcome = await flows["live"].send(body(flows["live"], [3]))
        assert isinstance(outcome, Paused)
        assert "credential_file" in outcome.reason
        (tmp_path / "credential").write_text(credential(bucket))
        assert await flows["live"].send(body(flows["live"], [3])) == Sent()
        assert stored_uids(bucket.objects) == uids([1, 2, 3])


async def test_a_temporary_credential_that_expired_is_read_again(tmp_path):
    """S3 answers 400 to it, where it answers 403 to an unknown key."""
    async with bucket_flows(tmp_path) as (bucket, flows):
        assert await flows["live"].send(body(flows["live"], [1])) == Sent()
        expired = faults.respond_with(400, error(400, "ExpiredToken").body or b"")
        bucket.fault(expired, rate=1, only=lambda each: "AKIDEXAMPLE" in each.headers["Authorization"])
        outcome = await flows["live"].send(body(flows["live"], [2]))
        assert isinstance(outcome, Paused)
        assert "credential_file" in outcome.reason
        bucket.keys = {"AKIDNEW": "another-secret-key"}
        (tmp_path / "credential").write_text(credential(bucket))
        assert await flows["live"].send(body(flows["live"], [2])) == Sent()
        assert stored_uids(bucket.objects) == uids([1, 2])


@pytest.mark.parametrize(
    "content", ["", "[default]\n", "aws_access_key_id = x", "[default]\naws_access_key_id = x\n"]
)
async def test_a_credential_file_without_a_key_is_named_at_the_start(content, tmp_path):
    """The message shows nothing of the file."""
    (tmp_path / "credential").write_text(content)
    with pytest.raises(RelayError, match=r"destinations\.lake\.credential_file") as caught:
        async with opened("s3://audit/jira", credential_file=tmp_path / "credential"):
            pass
    assert "aws_access" not in str(caught.value)


@pytest.mark.parametrize("setting", ["credential_file", "ca_file"])
async def test_a_missing_file_is_named_at_the_start(setting, tmp_path):
    with pytest.raises(RelayError, match=rf"destinations\.lake\.{setting} is .*, which cannot be read"):
        async with opened("s3://audit/jira", **{setting: tmp_path / "none"}):
            pass


async def test_no_message_shows_a_secret(tmp_path):
    """Answers of a store may repeat the request."""
    async with bucket_flows(tmp_path) as (bucket, flows):
        secret = "a-long-secret-key"
        answer = f"<Error><Code>{secret.replace('-', '')}</Code><Message>{secret}</Message></Error>"
        for status in (400, 403, 500):
            bucket.fault(faults.respond_with(status, answer), times=2)
            assert secret not in (await flows["live"].probe()).reason
            bucket.clear_faults()


async def test_a_day_of_thousands_of_objects_is_listed_to_the_place_that_matters(tmp_path):
    """A process that begins late in a day finds the object before its position behind the first page."""
    async with bucket_flows(tmp_path) as (bucket, flows):
        assert await flows["live"].send(body(flows["live"], range(9_000, 9_010))) == Sent()
        (key,) = (key for key in bucket.objects if key.endswith(".parquet"))
        for number in range(2_500):
            bucket.objects[key.replace("9000", f"{number:04d}")] = b""
        async with opened(
            f"s3://{bucket.name}/jira", endpoint=bucket.endpoint, credential_file=tmp_path / "credential"
        ) as others:
            assert await others["live"].send(body(others["live"], range(9_005, 9_012))) == Sent()
        written = {key: content for key, content in bucket.objects.items() if content}
        assert stored_uids(written) == uids(range(9_000, 9_012))


async def test_an_object_that_is_too_large_for_the_time_is_divided(tmp_path):
    """The line takes 100 rows in time, and not 200: the same object would never arrive."""

    def too_large(request):
        return puts(request) and int(request.headers["Content-Length"]) > 11_300

    async with bucket_flows(tmp_path, timeout_seconds=1.0) as (bucket, flows):
        live = flows["live"]
        slow = bucket.fault(faults.hang(60), rate=1, only=too_large)

        async def send_at_last(offsets):
            for _ in range(20):
                outcome = await live.send(body(live, offsets))
                if outcome == Sent():
                    return
                assert isinstance(outcome, Retry | Partial)  # a busy machine stores a part in the time
            pytest.fail(f"{outcome}")

        await send_at_last(range(1, 401))
        slow.cancel()
        await send_at_last(range(401, 801))
        assert stored_uids(bucket.objects) == uids(range(1, 801))


async def test_a_probe_leaves_nothing(tmp_path):
    async with bucket_flows(tmp_path) as (bucket, flows):
        assert await flows["live"].probe() == Sent()
        assert bucket.objects == {}


async def test_the_next_object_costs_one_listing_and_one_creation(tmp_path):
    async with bucket_flows(tmp_path) as (bucket, flows):
        for first in (10, 20):
            bucket.requests.clear()
            assert await flows["live"].send(body(flows["live"], range(first, first + 10))) == Sent()
        assert [method for method, _ in bucket.requests] == ["GET", "PUT"]


@pytest.mark.parametrize(
    ("text", "outcome", "said"),
    [
        ("Generic S3 error: Error performing PUT http://x/a?sig=secret in 1s - HTTP error: error sending request\nDebug", Retry, "HTTP error: error sending request"),
        ("… - HTTP error: error sending request\n\nDebug source:\nuri: http://x/?sig=secret hyper::Error(IncompleteMessage)", Retry, "sending request: the connection was closed before an answer"),
        ('… - HTTP error: error sending request\n\nDebug source:\nConnectError("dns error", Custom {})', Retry, "the host name was not found"),
        ("Generic S3 error: Error performing PUT http://x in 1s - Server returned non-2xx status code: 503 Service Unavailable: <Error><Code>SlowDown</Code></Error>", Retry, "503 Service Unavailable SlowDown"),
        ("… - Server returned non-2xx status code: 403 Forbidden: <Error><Code>RequestTimeTooSkewed</Code>", Paused, "the clock of the relay's machine"),
        ('… - Server returned non-2xx status code: 404 Not Found: {"error": "x"}', Paused, "404 Not Found"),
        ("… - Received redirect without LOCATION, this normally indicates an incorrectly configured region", Paused, ".region"),
        ("… - Server returned non-2xx status code: 418 I'm a teapot: ", Paused, "418"),
        ("Generic error https://x/a?sig=secret", Retry, "https://x/a"),
    ],
)  # fmt: skip
def test_an_error_of_obstore_is_read(text, outcome, said):
    """It has the status in its text alone, and never shows a query."""
    found = response.store_fault(ValueError(text), "s3://audit", "lake")
    assert isinstance(found, outcome)
    assert said in found.reason
    assert "secret" not in found.reason


def test_a_secret_is_not_shown_where_the_quoted_text_ends_within_it():
    redact = Redactor()
    redact.add(secret := "s3cret" * 10)
    for padding in range(230, 300, 10):
        text = f"… - HTTP error: {'p' * padding} {secret}"
        assert secret[:6] not in response.store_fault(ValueError(text), "s3://audit", "lake", redact).reason


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((200, 201, 204), Sent),
        ((408, 409, 412, 425, 429, 500, 502, 503, 504, 599), Retry),
        ((301, 307, 400, 401, 403, 404, 405, 407, 411, 413, 415, 451), Paused),
    ],
)
def test_each_status_has_an_outcome(statuses, outcome):
    for status in statuses:
        found = response.classify_status(status)
        assert isinstance(found, outcome)
        assert outcome is Sent or found.status == status

"""The response table of OTLP, answer by answer."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from consumer.destinations.otlp.answers import (
    NotOtlpError,
    PartialSuccess,
    error_message,
    read_partial_success,
)
from consumer.destinations.otlp.response import OtlpResponse, Request, classify, classify_status
from consumer.destinations.outcome import Dropped, Paused, Reject, Retry, Sent, Split

PROTOBUF, JSON = "application/x-protobuf", "application/json; charset=utf-8"
STATUS = b"\x08\x03\x12\x07too old"
"""A google.rpc.Status: code 3, a message."""


def answer_of(status, content=b"", content_type=PROTOBUF, **headers):
    return OtlpResponse(status, {"content-type": content_type, **headers}, content)


def outcome_of(response, rows=10, *, halves=False):
    return classify(response, Request("soc", rows, halves), 0)


def partial(rejected, message=""):
    """The answer of the library in both encodings."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = rejected
    response.partial_success.error_message = message
    document = {"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": message}}
    return [(response.SerializeToString(), PROTOBUF), (json.dumps(document).encode(), JSON)]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, Sent) for status in (200, 202, 204)),
        *((status, Retry) for status in (429, 502, 503, 504)),
        (400, Reject),
        (413, Split),
        *((status, Paused) for status in (301, 307, 401, 403, 404, 405, 408, 415, 422, 500, 501, 599)),
    ],
)
def test_each_status_has_the_outcome_of_the_table(status, outcome):
    assert type(classify_status(status)) is outcome
    assert type(outcome_of(answer_of(status, STATUS))) is (outcome if status >= 300 else Paused)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}", b'{"partialSuccess": null}', b'{"partial_success": {}}', b"\x0a\x00"]
)
def test_an_empty_answer_accepts_every_row(content):
    """Protobuf writes an empty message as no byte, and backends answer in JSON although protobuf was sent."""
    for content_type in ("", PROTOBUF, JSON, "text/plain"):
        if not (content == b"\x0a\x00" and content_type == JSON):
            assert outcome_of(answer_of(200, content, content_type)) == Sent(), content_type


@pytest.mark.parametrize("rejected", [1, 5, 9])
def test_dropped_rows_are_counted_and_the_body_is_not_sent_again(rejected):
    """The backend does not name them, and its words are in the reason."""
    for content, content_type in partial(rejected, "too old\n\x00"):
        outcome = outcome_of(answer_of(200, content, content_type))
        said = f"200 the backend dropped {rejected} of 10 events: too old"
        assert outcome == Dropped(rejected, said, 200)


def test_a_body_of_which_all_rows_were_dropped_is_rejected():
    """Nothing of it was stored, so its parts may be sent again to find the bad rows."""
    for content, content_type in partial(10, ""):
        outcome = outcome_of(answer_of(200, content, content_type))
        assert outcome == Reject("200 the backend dropped 10 of 10 events: no reason", 200)


def test_dropped_rows_are_searched_where_the_setting_says_so():
    for content, content_type in partial(1, "bad"):
        assert isinstance(outcome_of(answer_of(200, content, content_type), halves=True), Reject)


def test_a_message_without_dropped_rows_is_a_warning():
    for content, content_type in partial(0, "use the other endpoint"):
        outcome = outcome_of(answer_of(200, content, content_type))
        assert isinstance(outcome, Sent)
        assert outcome.warning == "use the other endpoint"


@pytest.mark.parametrize("rejected", [11, -1, 2**62])
def test_a_number_that_cannot_be_pauses(rejected):
    """Such an answer is no statement about the rows of this body."""
    for content, content_type in partial(rejected):
        assert isinstance(outcome_of(answer_of(200, content, content_type)), Paused)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"<html>login</html>", "text/html"),
        (b"ok", "text/plain"),
        (b"[]", JSON),
        (b"{", JSON),
        (b"null", JSON),
        (b"\xff\xfe", JSON),
        (b'{"partialSuccess": 3}', JSON),
        (b'{"partialSuccess": {"rejectedLogRecords": "many"}}', JSON),
        (b'{"partialSuccess": {"rejectedLogRecords": [1]}}', JSON),
        (b'{"partialSuccess": {"errorMessage": 3}}', JSON),
        (b'{"code": 3, "message": "bad"}', JSON),
        (b'{"error": {"reason": "bad"}}', PROTOBUF),
        (STATUS, PROTOBUF),
        (b"\x0a\x05\x08\x01", PROTOBUF),
        (b"\x0a\x02\x08", PROTOBUF),
        (b"\x0a\x02\x0a\x00", PROTOBUF),
        (b"\x0a\x02\x10\x00", PROTOBUF),
        (b"\x00\x00", PROTOBUF),
        (b"\x80" * 11, PROTOBUF),
        (b"\x0b\x01", PROTOBUF),
    ],
)
def test_a_200_that_is_no_answer_of_otlp_pauses(content, content_type):
    """A portal, a proxy or a failure with status 200 would else lose every event silently."""
    outcome = outcome_of(answer_of(200, content, content_type))
    assert isinstance(outcome, Paused)
    assert "destinations.soc.endpoint" in outcome.reason
    assert "<" not in outcome.reason


def test_a_200_whose_body_broke_off_is_sent_again():
    """It may have said that rows were dropped."""
    response = OtlpResponse(200, {}, b"\x0a", complete=False)
    assert isinstance(outcome_of(response), Retry)


def test_unknown_fields_of_a_later_version_are_skipped():
    """Fields of every wire type, before and behind the known ones."""
    inner = b"\x08\x02\x1a\x01x\x25abcd\x29abcdefgh\x30\x96\x01"
    content = b"\x10\x01\x0a" + bytes([len(inner)]) + inner + b"\x1a\x00"
    assert read_partial_success(content, PROTOBUF) == PartialSuccess(2, "")
    document = b'{"new": 1, "partialSuccess": {"new": 2, "rejectedLogRecords": 2}}'
    assert read_partial_success(document, JSON) == PartialSuccess(2, "")


def test_a_message_of_123_bytes_is_no_json():
    """Its second byte is a brace: only the first one tells JSON."""
    content, _ = partial(1, "m" * 119)[0]
    assert content[1:2] == b"{"
    assert read_partial_success(content, PROTOBUF) == PartialSuccess(1, "m" * 119)


@given(st.integers(-(2**63), 2**63 - 1), st.text())
def test_a_partial_success_is_read_as_the_library_writes_it(rejected, message):
    for content, content_type in partial(rejected, message):
        assert read_partial_success(content, content_type) == PartialSuccess(rejected, message)


@given(st.binary(), st.sampled_from([PROTOBUF, JSON, ""]))
def test_any_bytes_are_read_or_refused(content, content_type):
    """Bytes of a stranger raise nothing else, and have a text."""
    with contextlib.suppress(NotOtlpError):
        read_partial_success(content, content_type)
    assert isinstance(error_message(content, content_type), str)


@pytest.mark.parametrize(
    ("content", "content_type", "said"),
    [
        (STATUS, PROTOBUF, "too old"),
        (b"\x08\x03", PROTOBUF, ""),
        (b"plain", PROTOBUF, "plain"),
        (b'{"code": 3, "message": "too old"}', JSON, "too old"),
        (b'{"message": 3}', JSON, '{"message": 3}'),
        (b"[]", JSON, "[]"),
        (b"busy\r\nthen", "text/plain", "busy\r\nthen"),
    ],
)
def test_the_message_of_a_failure_is_found(content, content_type, said):
    """A Status in either encoding, or the text itself."""
    assert error_message(content, content_type) == said


def test_a_throttled_answer_waits_for_its_time():
    """Seconds or a date; at most a quarter of an hour."""
    for value, seconds in (("7", 7.0), ("86400", 900.0), ("Thu, 01 Jan 1970 00:00:05 GMT", 5.0), ("x", None)):
        outcome = outcome_of(answer_of(503, STATUS, **{"retry-after": value}))
        assert outcome == Retry("The backend takes no logs for the time being (503 too old).", 503, seconds)


def test_texts_of_the_backend_are_short_and_without_secrets():
    """Also where the cut would leave a part of the secret."""
    for status in (200, 400):
        message = "x" * 190 + " Bearer secret-secret-secret"
        content = partial(1, message)[1][0] if status == 200 else json.dumps({"message": message}).encode()
        response = OtlpResponse(
            status,
            {"content-type": JSON},
            content,
            redact=lambda text: text.replace("secret-secret-secret", "…"),
        )
        reason = outcome_of(response).reason
        assert "secret" not in reason
        assert len(reason) < 300

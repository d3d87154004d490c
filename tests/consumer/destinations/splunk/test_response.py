"""The answers of a collector: one test for each line of the table."""

import json

import pytest

from consumer.destinations.outcome import Partial, Paused, Reject, Retry, Sent, Split
from consumer.destinations.splunk.response import HecResponse, Sending, classify, classify_status, describe
from simulators.splunk import answers as hec

SENDING = Sending("soc", 5, "jira")


def outcome_of(status, document=None, *, headers=None, complete=True):
    content = (
        document
        if isinstance(document, bytes)
        else b""
        if document is None
        else json.dumps(document).encode()
    )
    return classify(HecResponse(status, headers or {}, content, complete), SENDING, 0)


PAUSED = {
    hec.TOKEN_DISABLED: "The token is disabled",
    hec.TOKEN_REQUIRED: "The token is missing",
    hec.INVALID_AUTHORIZATION: "The token has a wrong form",
    hec.INVALID_TOKEN: "Splunk does not know the token",
    hec.HecAnswer(400, 21, "Invalid token"): "Splunk does not know the token",
    hec.HecAnswer(400, 22, "Token disabled"): "The token is disabled",
    hec.INCORRECT_INDEX: "Splunk does not have the index jira",
    hec.INCORRECT_INDEX.about(3): "Splunk does not have the index jira",
    hec.CHANNEL_MISSING: "acknowledge to true",
    hec.INVALID_CHANNEL: "acknowledge to true",
    hec.ACK_DISABLED: "acknowledge to false",
    hec.HecAnswer(
        400, 16, "Query string authorization is not enabled"
    ): "does not answer as an HTTP Event Collector",
    hec.HecAnswer(200, 99, "?"): "does not answer as an HTTP Event Collector",
}
RETRIED = (
    *(hec.SERVER_ERROR, hec.BUSY, hec.BUSY.about(2), hec.QUEUES_FULL, hec.SHUTTING_DOWN),
    *(hec.AT_CAPACITY, hec.ACK_AT_CAPACITY, hec.HecAnswer(503, 19, "x"), hec.HecAnswer(503, 20, "x")),
    hec.HecAnswer(200, 9, "Server is busy"),
)
BAD = (hec.INVALID_FORMAT, hec.EVENT_REQUIRED, hec.EVENT_BLANK, hec.BAD_FIELDS)


def test_a_success_is_sent():
    assert outcome_of(200, {"text": "Success", "code": 0}) == Sent()
    assert outcome_of(201, {"text": "Success", "code": 0, "ackId": 3}) == Sent()


@pytest.mark.parametrize("answer", PAUSED, ids=lambda each: f"{each.status} {each.code} {each.event}")
def test_what_an_operator_must_fix_pauses(answer):
    outcome = outcome_of(answer.status, answer.document())
    assert isinstance(outcome, Paused)
    assert PAUSED[answer] in outcome.reason
    assert "destinations.soc." in outcome.reason
    assert f"code {answer.code}" in outcome.reason


@pytest.mark.parametrize("answer", RETRIED, ids=lambda each: f"{each.status} {each.code} {each.event}")
def test_what_passes_is_retried(answer):
    """The whole body goes again, whatever event number a busy server gives."""
    outcome = outcome_of(answer.status, answer.document(), headers={"retry-after": "7"})
    said = f"{answer.status} code {answer.code} {answer.text}"
    assert outcome == Retry(f"Splunk takes no events now ({said}).", answer.status, 7.0)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("answer", BAD, ids=lambda each: str(each.code))
def test_a_bad_event_with_a_number_is_rejected_alone(answer, status):
    outcome = outcome_of(status, answer.about(2).document())
    assert isinstance(outcome, Partial)
    assert outcome.rejected.keys() == {2}
    assert outcome.retry == {3, 4}
    assert outcome.unprocessed
    assert outcome.as_retry() is None


@pytest.mark.parametrize("number", [None, 5, -1, "2", 2.0, True, [2]])
def test_a_number_that_names_no_event_blames_none(number):
    """The body is halved then; the wrong row must not become a dead letter."""
    document = {**hec.INVALID_FORMAT.document(), "invalid-event-number": number}
    assert isinstance(outcome_of(400, document), Reject)


@pytest.mark.parametrize(
    ("status", "content", "outcome"),
    [
        (400, b"", Reject),
        (400, b"<html>", Reject),
        (400, b'{"code":5,"text":"No data"}', Reject),
        (401, b"", Paused),
        (403, b"", Paused),
        (404, b'{"text":"not found","code":404}', Paused),
        (405, b"", Paused),
        (407, b"<html>", Paused),
        (301, b"", Paused),
        (413, b"<html>", Split),
        (408, b"", Retry),
        (425, b"", Retry),
        (429, b"", Retry),
        (500, b"<html>", Retry),
        (502, b"", Retry),
        (503, b"", Retry),
        (504, b"", Retry),
        (200, b"<html>a login page</html>", Paused),
        (200, b"", Paused),
        (200, b'["Success"]', Paused),
        (200, b'{"text":"Success"}', Retry),
        (200, b'{"text":"Suc', Retry),
        (200, b'{"text":"Success","code":"0"}', Retry),
        (200, b'{"text":"Success","code":false}', Retry),
        (204, b"", Paused),
    ],
)
def test_an_answer_without_a_code_goes_by_its_status(status, content, outcome):
    """A success that nobody can read is not taken for one: a proxy may have answered."""
    assert type(outcome_of(status, content)) is outcome


def test_an_answer_that_broke_off_may_be_a_success():
    assert isinstance(outcome_of(200, b"", complete=False), Retry)
    assert isinstance(outcome_of(200, b"<ht", complete=False), Retry)


def test_a_quoted_answer_is_one_short_line():
    long = HecResponse(400, {}, b'{"code":6,"text":"a\\nb\\u0000c' + b"x" * 1000 + b'"}')
    assert describe(long).startswith("400 code 6 a b c")
    assert len(describe(long)) < 220
    assert describe(HecResponse(502, {}, b" <html>")) == "502 a page of HTML"


def test_each_status_alone_has_an_outcome():
    for status in range(200, 600):
        outcome = classify_status(status)
        assert isinstance(outcome, Sent) or outcome.reason
        assert isinstance(outcome, Sent) == (status == 200)

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split
from consumer.destinations.sentinel.response import IngestionResponse, IngestionTarget, classify

TARGET = IngestionTarget("sentinel", "dcr-" + 32 * "0", "Custom-JiraAuditRelay")
NOW_MS = 1_763_800_000_000


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

"""One outcome for each answer of a receiver."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.destinations.http.response import HttpResponse, classify, classify_head, classify_status
from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent, Split

TABLE = {
    Sent: (200, 201, 202, 204, 207, 299),
    Retry: (408, 425, 429, 500, 501, 502, 503, 504, 507, 599),
    Split: (413,),
    Reject: (400, 422),
    Paused: (300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 406, 407, 409, 410, 411, 415, 421, 451),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "outcome"), [(status, kind) for kind, each in TABLE.items() for status in each]
)
def test_an_answer_has_its_outcome(status, outcome):
    """The table of docs/destinations/http.md."""
    assert type(classify_status(status)) is outcome


@given(st.integers(100, 599), st.text(max_size=60), st.text(max_size=30))
def test_every_answer_means_something(status, text, retry_after):
    """No answer, however odd, is an exception, and a reason is one line of printable characters."""
    outcome = classify(HttpResponse(status, {"retry-after": retry_after}, text), "soc", 0)
    assert isinstance(outcome, Outcome)
    assert isinstance(outcome, Sent) == (200 <= status < 300)
    assert getattr(outcome, "reason", "x").isprintable()


def test_the_receiver_says_how_long_to_wait():
    assert classify(HttpResponse(429, {"retry-after": "7"}), "soc", 0).after == 7
    assert classify(HttpResponse(503, {"retry-after": "9999999"}), "soc", 0).after == 900
    assert classify(HttpResponse(503, {}), "soc", 0).after is None


def test_a_reason_quotes_the_receiver_and_names_the_setting():
    """A page of HTML is not quoted."""
    said = classify(HttpResponse(401, {}, '{"error":\n"expired"}'), "soc", 0).reason
    assert '401 {"error": "expired"}' in said
    assert "destinations.soc.headers" in said
    assert "a page of HTML" in classify(HttpResponse(407, {}, "<html>secret"), "soc", 0).reason
    assert len(classify(HttpResponse(400, {}, "x" * 5000), "soc", 0).reason) < 300


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, Sent), (404, Sent), (405, Sent), (401, Paused), (503, Retry)]
)
def test_a_head_request_reaches_a_receiver_of_posts(status, outcome):
    """A receiver that knows POST alone was reached; one that refuses the credential was not."""
    assert type(classify_head(HttpResponse(status, {}), "soc", 0)) is outcome

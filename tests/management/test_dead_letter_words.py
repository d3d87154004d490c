"""What was wrong with a dead letter, in sentences."""

import pytest

from management.dead_letter_summary import ReasonGroup
from management.dead_letter_words import describe_letter
from management.dead_letters import DeadLetterContent, DeadLetterStory
from management.decoding import SCHEMA_UNKNOWN, DecodedRecord
from relay.dead_letters.letter import parse_letter
from tests.support.dead_letters import AT, letter_record

EVENT = DecodedRecord("AuditEvent", {})


def explain(decoded=EVENT, remark=None, closed_by=None, destinations=("sentinel",), **fields):
    letter = parse_letter(letter_record(7, **{"destination": "sentinel", **fields}))
    found = DeadLetterContent(letter, b"", remark, decoded)
    group = ReasonGroup("sentinel", "too odd")
    return describe_letter(found, DeadLetterStory(AT, closed_by, group), destinations)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"status": "400"}, "compare its columns or mapping"),
        ({"status": "413"}, "raise its limit"),
        ({"status": ""}, "The reason names the cause"),
        ({"decoded": None}, "These bytes are no event, so they cannot be redriven."),
        ({"decoded": DecodedRecord("Checkpoint", {})}, "These bytes are no event"),
        (
            {"decoded": None, "remark": f"{SCHEMA_UNKNOWN} it is away."},
            "Whether the bytes are an event is not known here.",
        ),
        ({"destinations": ("splunk",)}, "The settings have no destination sentinel any more"),
        ({"destination": None, "service": "producer"}, "dead-letters redrive --producer"),
    ],
)
def test_each_open_letter_has_a_remedy(given, remedy):
    """The last sentence says what to do, by the status, the content, and whether the destination still exists."""
    assert remedy in explain(**given)[-1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"status": "400", "flow": "live"},
            "sentinel (live) refused an event of acme with status 400: too odd.",
        ),
        ({"status": "400", "replay": "job-1"}, "sentinel in the replay job-1 refused an event of acme"),
        (
            {"status": "", "flow": "history"},
            "An event of acme could not be delivered to sentinel (history): too odd.",
        ),
        ({"destination": None}, "A producer could not make an event of a record of acme: too odd."),
        ({"status": "400", "key": None}, "refused an event of no organization"),
    ],
)
def test_the_first_sentence_is_the_refusal(given, words):
    """It names the destination, the flow, the organization, the status and the reason."""
    assert words in explain(**given)[0]


def test_a_closed_letter_needs_nothing():
    """A redriven letter and one that failed again have a sentence on that, and no remedy."""
    mark = parse_letter(letter_record(9, b"", reason=None, redriven="1/7", replay="job-1"))
    again = parse_letter(letter_record(10, redrive="1/7", tries="2", replay="job-1"))
    assert "nothing is left to do" in explain(closed_by=mark)[-1]
    assert "see dead letter 1/10" in explain(closed_by=again)[-1]

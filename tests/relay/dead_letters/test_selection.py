"""Which dead letters an operator means."""

import pytest

from relay.dead_letters.letter import parse_letter
from relay.dead_letters.selection import LetterSelection
from tests.support.dead_letters import AT, letter_record

LETTER = parse_letter(letter_record(7, destination="sentinel", reason="Column Actor is UNKNOWN"))
UNREADABLE = parse_letter(letter_record(8, service="producer"))


@pytest.mark.parametrize(
    ("conditions", "kept"),
    [
        ({}, True),
        ({"destination": "sentinel"}, True),
        ({"destination": "splunk"}, False),
        ({"reason": "column actor is unknown"}, True),
        ({"reason": "table"}, False),
        ({"organizations": frozenset({"acme", "other"})}, True),
        ({"organizations": frozenset({"other"})}, False),
        ({"from_ms": AT}, True),
        ({"from_ms": AT + 1}, False),
        ({"to_ms": AT + 1}, True),
        ({"to_ms": AT}, False),
        ({"state": "open"}, True),
        ({"state": "redriven"}, False),
        ({"by_producer": False}, True),
        ({"by_producer": True}, False),
        ({"destination": "sentinel", "reason": "table"}, False),
    ],
)
def test_a_letter_meets_all_conditions(conditions, kept):
    """Each condition is applied, the begin of a range is in it, and its end is not."""
    assert LetterSelection(**conditions).keeps(LETTER, "open") is kept


def test_a_letter_of_a_producer_has_no_destination():
    """It is of no destination, and of the producers."""
    assert LetterSelection(by_producer=True).keeps(UNREADABLE, "open")
    assert not LetterSelection(destination="sentinel").keeps(UNREADABLE, "open")


def test_one_organization_is_read_alone():
    """The partition of one organization is enough; without one, or with several, all are read."""
    assert LetterSelection(organizations=frozenset({"acme"})).only_organization == "acme"
    assert LetterSelection(organizations=frozenset({"acme", "other"})).only_organization is None
    assert LetterSelection().only_organization is None

"""What became of an event at a destination, from facts alone."""

import json

import pytest

from consumer.offsets.delivered import DeliveredRange, DeliveryProgress, RecordFingerprint
from management.change_history import ChangeEntry
from management.events.delivery_words import DeliveryFacts, judge, skipped_by
from management.events.stored_event import EventAddress
from relay.dead_letters.letter import parse_letter
from tests.support.dead_letters import letter_record

ADDRESS = EventAddress("events", 3, 50)
LETTER = parse_letter(letter_record(7, partition=3, reason="too long", destination="soc"))


def progress(offset, *ranges):
    ahead = tuple(DeliveredRange(first, RecordFingerprint(stop - 1, 0, 0)) for first, stop in ranges)
    return "live", DeliveryProgress(1, offset, delivered_ahead=ahead)


def move(what, before, after, flow="live"):
    facts = [json.dumps({"flow": flow, "offsets": {"3": offset}}) for offset in (before, after)]
    return ChangeEntry(0, 0, "anna", what, "destination/soc", *facts)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "accepted"),
        ({"progress": progress(50)}, "not delivered yet"),
        ({"progress": progress(51)}, "accepted"),
        ({"progress": progress(10, (45, 51))}, "accepted"),
        ({"progress": progress(10, (45, 50))}, "not delivered yet"),
        ({"progress": ("older", None)}, "not begun"),
        ({"progress": "Kafka is away."}, "not known"),
        ({"letters": "Kafka is away."}, "not known"),
        ({"letters": [(LETTER, "open")]}, "dead letter"),
        ({"letters": [(LETTER, "failed again"), (LETTER, "open")]}, "dead letter"),
        ({"letters": [(LETTER, "redriven")]}, "redriven"),
        ({"left_out": True}, "left out"),
        ({"left_out": False}, "accepted"),
        ({"left_out": "Kafka is away."}, "accepted"),
        ({"skipped": move("skipped", 10, 90)}, "skipped"),
        ({"skipped": "Kafka is away."}, "not known"),
        ({"skipped": "Kafka is away.", "progress": progress(50)}, "not delivered yet"),
        ({"replay": "r-1"}, "not for it"),
    ],
)
def test_the_surest_cause_is_named(fields, word):
    """One word for each history of an event."""
    facts = {"progress": progress(100), "letters": (), "left_out": None, "skipped": None, "replay": None}
    found = judge(DeliveryFacts("soc", ADDRESS, **(facts | fields)))

    assert found.word == word
    assert found.sentence.endswith(".") or found.letter == "3/7"


@pytest.mark.parametrize(
    ("moves", "skipped"),
    [
        ([move("skipped", 10, 90)], True),
        ([move("skipped", 51, 90)], False),
        ([move("skipped", 10, 50)], False),
        ([move("rewound", 90, 10), move("skipped", 10, 90)], False),
        ([move("skipped", 10, 90), move("rewound", 90, 10)], True),
        ([move("skipped", 10, 90, flow="history")], False),
        ([ChangeEntry(0, 0, "anna", "skipped", "destination/soc", "{", "[]")], False),
    ],
)
def test_the_last_move_over_an_event_counts(moves, skipped):
    """Newest first: a move back after a move ahead delivers the event again."""
    assert (skipped_by(moves, "soc", progress(100), ADDRESS) is not None) == skipped

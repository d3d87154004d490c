"""What became of the events of a day at a destination, from their places."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from consumer.losses.lost_range import LostRange
from consumer.offsets.delivered import DeliveredRange, DeliveryProgress, RecordFingerprint
from management.change_history import ChangeEntry
from management.completeness.canonical import EventKey
from management.completeness.delivery_account import DestinationProgress, Letters, delivery_day
from management.completeness.replayed_events import replayed_to
from management.completeness.topic_scan import SLACK_MS, PlacedEvent
from management.events.stored_event import EventAddress
from relay.dead_letters.assembly import WholeLetter
from relay.dead_letters.letter import DeadLetter
from relay.kafka.topics import Topics
from relay.replays.job import KnownReplay, ReplayJob, ReplayProgress, ReplayRange, ReplaySkip
from relay.timestamps import DAY_MS, day_start

DAY = "2026-11-02"


def placed(offset, topic="events", left_out=()):
    return PlacedEvent(EventKey(offset, bytes(32)), EventAddress(topic, 3, offset), 0, frozenset(left_out))


def destination(moves=(), **flows):
    return DestinationProgress("sentinel", flows, moves)


def delivered_to(offset, ahead=(), **fields):
    ranges = tuple(DeliveredRange(first, RecordFingerprint(last, 0, 0)) for first, last in ahead)
    return DeliveryProgress(1, offset, delivered_ahead=ranges, **fields)


@pytest.mark.parametrize(
    ("found", "event", "state"),
    [
        (destination(), placed(5), "pending"),
        (destination(), placed(5, "backfill"), "pending"),
        (destination(live=delivered_to(6)), placed(5), "accepted"),
        (destination(live=delivered_to(5)), placed(5), "pending"),
        (destination(live=delivered_to(2, ahead=[(5, 6)])), placed(6), "accepted"),
        (destination(live=delivered_to(2, ahead=[(5, 6)])), placed(7), "pending"),
        (destination(live=delivered_to(6)), placed(5, left_out=["sentinel"]), "left out"),
        (destination(live=delivered_to(6)), placed(5, left_out=["other"]), "accepted"),
        (destination(live=delivered_to(6)), placed(5, "backfill"), "not begun"),
        (destination(history=delivered_to(6)), placed(5, "backfill"), "accepted"),
        (destination(live=delivered_to(9, live_from=7)), placed(5), "not begun"),
        (destination(live=delivered_to(9, live_from=7), older=delivered_to(5)), placed(5), "pending"),
        (destination(live=delivered_to(9, live_from=7), older=delivered_to(6)), placed(5), "accepted"),
    ],
)
def test_the_place_of_an_event_says_what_became_of_it(found, event, state):
    assert found.state_of(event, Letters()) == state


@pytest.mark.parametrize(
    ("letter", "state"),
    [
        ("open", "dead letter"),
        ("failed again", "dead letter"),
        ("redriven", "redriven"),
        ("duplicate", "redriven"),
    ],
)
def test_a_dead_letter_counts_before_the_offset(letter, state):
    """A letter of another destination, or of another place, says nothing."""
    letters = Letters({("sentinel", EventAddress("events", 3, 5)): letter})
    found = destination(live=delivered_to(9))
    assert found.state_of(placed(5), letters) == state
    assert found.state_of(placed(6), letters) == "accepted"
    assert DestinationProgress("other", found.flows).state_of(placed(5), letters) == "accepted"


def test_an_event_whose_letter_retention_may_have_deleted_is_not_known():
    """Where letters are kept for less than events: the offset of a dead letter is committed like that of an accepted event."""
    found, letters = destination(live=delivered_to(9)), Letters(kept_from=6)
    old, new = (replace(placed(5), collected=each) for each in (5, 6))
    assert [found.state_of(each, letters) for each in (old, new)] == ["not known", "accepted"]
    assert found.state_of(replace(old, left_out=frozenset({"sentinel"})), letters) == "left out"
    begin = day_start(DAY) - SLACK_MS
    states = [found.state_of_deleted(DAY, Letters(kept_from=begin + more), "acme", ()) for more in (0, 1)]
    assert states == ["accepted", "not known"]


def test_a_letter_that_was_given_up_does_not_hide_the_one_that_was_written_in_its_place():
    """The first part alone is listed last, as a duplicate; the whole letter is open."""
    of_event = {"destination": "sentinel", "topic": "p.events", "partition": "3", "offset": "5"}
    whole = WholeLetter(DeadLetter(1, 7, 0, "acme", of_event, 0), b"acme", b"", (7,))
    first = DeadLetter(1, 6, 0, "acme", {**of_event, "part": "1/2"}, 0)
    cut = WholeLetter(first, b"acme", b"", (6,), "The rest is missing.")
    letters = Letters()
    for letter, state in ((whole, "open"), (cut, "duplicate")):
        letters.add(letter, state, Topics("p"))
    assert letters.of_destinations == {("sentinel", EventAddress("events", 3, 5)): "open"}
    assert destination(live=delivered_to(9)).state_of(placed(5), letters) == "dead letter"


def test_an_event_that_an_operator_passed_is_skipped():
    before, after = (json.dumps({"flow": "live", "offsets": {"3": offset}}) for offset in (4, 8))
    move = ChangeEntry(0, 1, "ann", "skipped", "destination/sentinel", before, after)
    found = destination([move], live=delivered_to(9))
    assert [found.state_of(placed(each), Letters()) for each in (3, 4, 7, 8)] == [
        "accepted",
        "skipped",
        "skipped",
        "accepted",
    ]


JOB = ReplayJob(
    "1",
    "sentinel",
    "events",
    0,
    "ann",
    "running",
    0,
    "ann",
    ranges=(ReplayRange("p.events", 3, 4, 8),),
    target="http: here",
)
DONE = ReplayProgress("1", "done", 0, 0, "c", 0, sent=2, skipped=9)


@pytest.mark.parametrize(
    ("job", "progress", "states"),
    [
        ({}, {}, ["replayed", "replayed", "left out"]),
        ({"events": ("acme/5", "beta/4")}, {}, ["skipped", "replayed", "skipped"]),
        ({"by": "a word of a later release"}, {}, ["skipped", "skipped", "skipped"]),
        ({"organizations": ("beta",)}, {}, ["skipped"] * 3),
        (
            {"by": "created", "from_ms": day_start(DAY), "to_ms": day_start(DAY) + DAY_MS},
            {},
            ["replayed", "replayed", "left out"],
        ),
        ({"by": "created", "from_ms": day_start(DAY) + 1}, {}, ["skipped"] * 3),
        ({"from_ms": 1}, {}, ["skipped"] * 3),
        ({"to_ms": 0}, {}, ["skipped"] * 3),
        ({"ranges": (ReplayRange("p.events", 3, 5, 8),)}, {}, ["skipped", "replayed", "left out"]),
        (
            {"ranges": (ReplayRange("p.backfill", 3, 4, 8), ReplayRange("p.events", 2, 4, 8))},
            {},
            ["skipped"] * 3,
        ),
        ({"where": "true"}, {}, ["skipped"] * 3),
        ({"content": "dead-letters"}, {}, ["skipped"] * 3),
        ({"destination": "other"}, {}, ["skipped"] * 3),
        ({"target": "http: the endpoint of last year"}, {}, ["skipped"] * 3),
        ({"target": None}, {}, ["skipped"] * 3),
        ({}, {"state": "cancelled"}, ["skipped"] * 3),
        ({}, {"lost": 1}, ["skipped"] * 3),
        ({}, {"skips": (ReplaySkip("It is unreadable.", 1),)}, ["skipped"] * 3),
    ],
)
def test_an_event_that_was_skipped_and_replayed_was_delivered(job, progress, states):
    """Only a replay that has certainly sent it counts, and a filter leaves an event out of a replay as well."""
    before, after = (json.dumps({"flow": "live", "offsets": {"3": offset}}) for offset in (4, 8))
    move = ChangeEntry(0, 1, "ann", "skipped", "destination/sentinel", before, after)
    known = KnownReplay(replace(JOB, **job), replace(DONE, **progress))
    replayed = replayed_to("sentinel", ["http: here", None], [known], Topics("p"))
    found = DestinationProgress("sentinel", {"live": delivered_to(9)}, [move], replayed=replayed)
    events = [placed(4), placed(5), placed(6, left_out=["sentinel"])]
    assert [found.state_of(each, Letters(), "acme", DAY) for each in events] == states
    assert replayed_to("sentinel", ["http: here"], [KnownReplay(JOB)], Topics("p")).jobs == ()


def test_a_day_counts_all_and_names_what_is_not_settled():
    found = destination(live=delivered_to(3))
    day = delivery_day(found, [placed(each) for each in (5, 1, 4)], Letters(), "acme", DAY)
    assert (day.counts, day.ids) == ({"pending": 2, "accepted": 1}, {"pending": [4, 5]})
    assert not day.is_settled


def test_what_retention_deleted_was_accepted_unless_a_lost_range_may_hold_it():
    """A consumer records each range that it lost; before its first commit nothing is known."""
    day, flows = "2026-11-02", {"live": delivered_to(9)}
    lost = LostRange("sentinel", "events", 3, 0, 5, 4, None, day_start(day) + 1, 0)
    earlier = replace(lost, collected_until=day_start(day) - SLACK_MS)
    for losses, state in (([], "accepted"), ([earlier], "accepted"), ([earlier, lost], "not known")):
        found = DestinationProgress("sentinel", flows, losses=losses)
        counted = delivery_day(found, [placed(8)], Letters(), "acme", day, [2, 1])
        assert counted.counts == Counter({"accepted": 1}) + Counter({state: 2})
        assert counted.ids == ({"not known": [1, 2]} if state == "not known" else {})
    assert destination().state_of_deleted(day, Letters(), "acme", ()) == "not known"


def test_what_retention_deleted_was_not_accepted_where_a_letter_or_a_skip_may_hold_it():
    """Dead letters are kept for longer than events, and nothing else says that an operator had skipped a deleted event."""
    begins, place = (
        [EventAddress("backfill", 3, 0), EventAddress("events", 3, 6)],
        EventAddress("events", 3, 5),
    )
    earliest = day_start(DAY) - SLACK_MS
    before, after = (json.dumps({"flow": "live", "offsets": {"3": offset}}) for offset in (5, 9))
    move = ChangeEntry(0, earliest, "ann", "skipped", "destination/sentinel", before, after)

    def state(letter="redriven", organization="acme", moves=(), begins=begins):
        key = ("sentinel", place)
        letters = Letters({key: letter}, organizations={key: organization})
        return destination(moves, live=delivered_to(9)).state_of_deleted(DAY, letters, "acme", begins)

    assert state() == state("open", "beta") == state("open", begins=[place]) == "accepted"
    assert state("open") == state("failed again") == state(moves=[move]) == "not known"
    for other in (
        replace(move, at=earliest - 1),
        replace(move, before=after),
        replace(move, key="destination/other"),
        replace(move, what="rewound"),
        replace(move, before=before.replace("live", "history")),
    ):
        assert state(moves=[other]) == "accepted"

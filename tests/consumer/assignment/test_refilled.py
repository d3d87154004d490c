"""Events that are on the topic of backfill for one replay alone."""

from types import SimpleNamespace

from consumer.assignment.refilled import skip_refilled
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, SequenceRange
from relay.kafka import TopicPartition
from tests.support.messages import event, message

A = TopicPartition("backfill", 0)
REPLAY = [("relay.replay", b"20261130-071500-ab12")]


def records(*offsets, headers=()):
    found = [message(event(offset), offset=offset) for offset in offsets]
    for each in found:
        each.headers = headers
    return found


def run(read):
    tracker, counts = OffsetTracker(), []
    tracker.start(A, DeliveryProgress.starting_at(0))
    flow = SimpleNamespace(
        state=SimpleNamespace(skipped=0),
        metrics=SimpleNamespace(events_read=counts.append, events_skipped=counts.append),
    )
    kept = list(skip_refilled(tracker.track(A, read), tracker, flow))
    return tracker, flow, kept


def test_events_of_a_replay_are_passed_over_and_the_others_are_kept_in_order():
    """Their offsets are delivered, so that the group's offset moves over them. A header without a value names no replay."""
    read = sorted(
        [
            *records(0, 2, 3),
            *records(1, 4, 5, headers=REPLAY),
            *records(6, headers=[("other", b"1")]),
            *records(7, headers=[("relay.replay", None)]),
        ],
        key=lambda each: each.offset,
    )
    tracker, flow, kept = run(read)
    assert [each.offset for _, part in kept for each in part] == [0, 2, 3, 6, 7]
    assert all(len(sequence) == len(part) for sequence, part in kept)
    assert flow.state.skipped == 3
    assert tracker.delivered_count() == 3


def test_a_run_of_events_of_a_replay_alone_moves_the_offset():
    tracker, flow, kept = run(records(0, 1, 2, headers=REPLAY))
    assert (kept, flow.state.skipped) == ([], 3)
    assert tracker.progress()[A].offset == 3


def test_events_without_headers_are_not_copied():
    read = records(0, 1)
    tracked = [(SequenceRange(A, 0, 2), read)]
    ((_, kept),) = skip_refilled(tracked, OffsetTracker(), None)
    assert kept is read

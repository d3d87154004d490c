"""Cursors of refills against the events that are on the topic."""

from producer.recovery.logged_events import LoggedEvent, LogTail, RefilledEvent
from producer.recovery.reconcile import LedgerRepair, StoredProgress
from producer.recovery.refills import repair_refills
from producer.state.checkpoint import new_checkpoint
from producer.state.refill import RefillCursor

CURSOR = RefillCursor("r", 100, (3,), events=3, end=13)


def stored(*cursors):
    checkpoint = new_checkpoint("acme", 5, now=6)
    for cursor in cursors:
        checkpoint = checkpoint.with_refill(cursor)
    return StoredProgress(checkpoints={"acme": checkpoint})


def tail(*offsets, start=0, created=100):
    return LogTail(
        start,
        refilled=tuple(
            RefilledEvent("r", LoggedEvent("acme", offset, created, offset, 1)) for offset in offsets
        ),
    )


def test_a_cursor_whose_events_are_there_stays():
    found = stored(CURSOR)
    assert repair_refills(found, tail(10, 11, 12)) == []
    assert found.checkpoints["acme"].refills == (CURSOR,)


def test_a_cursor_whose_last_event_is_lost_is_forgotten():
    found = stored(CURSOR)
    assert repair_refills(found, LogTail(0)) == [LedgerRepair("acme", None)]
    assert found.checkpoints["acme"].refills == ()


def test_a_cursor_before_the_tail_is_believed():
    found = stored(CURSOR)
    assert repair_refills(found, LogTail(13)) == []


def test_events_of_an_aborted_transaction_that_became_visible_are_taken_in():
    found = stored(CURSOR)
    assert repair_refills(found, tail(12, 14, 15)) == [LedgerRepair("acme", None)]
    (cursor,) = found.checkpoints["acme"].refills
    assert (cursor.read_to, cursor.ids, cursor.events, cursor.end) == (100, (3, 14, 15), 5, 16)
    found = stored()
    repair_refills(found, tail(4, created=70))
    (cursor,) = found.checkpoints["acme"].refills
    assert (cursor.read_to, cursor.ids, cursor.end) == (70, (4,), 5)
    assert repair_refills(StoredProgress(), tail(4)) == []

from pyroaring import BitMap64

from producer.recovery.logged_events import LogScan, LogTail
from producer.recovery.reconcile import add_missing_ids, find_lost_tails, remove_lost_ids
from producer.state.checkpoint import EventPosition
from relay.timestamps import DAY_MS, day_of
from tests.support.stored_progress import EMPTY, NOW, TODAY, log_scan, logged_event, stored_progress


def test_an_event_deleted_by_retention_is_still_named():
    """Otherwise the next pair would call everything before offset 0 complete."""
    found = stored_progress(2, last_event=EventPosition(8, 2), last_backfill=EventPosition(30, 5))
    remove_lost_ids(found, {"acme"}, LogScan(complete_since=NOW - DAY_MS, start=9), log_scan())

    assert found.checkpoints["acme"].last_event == EventPosition(8, 2)
    assert found.checkpoints["acme"].last_backfill is None


def test_events_after_the_last_progress_become_known():
    """They are not published again; older events of days without a ledger count as known."""
    found = stored_progress(1, live_since=NOW - 20 * DAY_MS)
    later = logged_event(2, 11, timestamp=NOW + 1)
    backfill = logged_event(3, 0, created=NOW - 100 * DAY_MS, timestamp=NOW + 2)
    older = logged_event(9, 10, created=NOW - 10 * DAY_MS, timestamp=NOW - 1)
    repairs = add_missing_ids(found, LogTail(0, (older, later)), LogTail(0, (backfill,)))

    assert found.days["acme"][TODAY].ids == BitMap64([1, 2])
    assert found.days["acme"][day_of(backfill.created)].ids == BitMap64([3])
    assert {(one.organization, one.day) for one in repairs} == {
        ("acme", TODAY),
        ("acme", day_of(backfill.created)),
        ("acme", None),
    }


def test_an_aborted_event_that_is_visible_again_becomes_known():
    """Kafka lost the abort marker after later progress was written, at any age of the event."""
    found = stored_progress(1, last_event=EventPosition(5, 1))
    add_missing_ids(
        found, LogTail(0, (logged_event(1, 5), logged_event(3, 9, timestamp=NOW - 60_000))), EMPTY
    )

    assert found.days["acme"][TODAY].ids == BitMap64([1, 3])
    assert found.checkpoints["acme"].last_event == EventPosition(9, 3)


def test_half_of_the_last_progress_is_completed():
    """Events of a transaction become known when Kafka kept its checkpoint but not its ledger."""
    found = stored_progress(1)
    add_missing_ids(found, LogTail(0, (logged_event(1, 5), logged_event(2, 6))), EMPTY)

    assert found.days["acme"][TODAY].ids == BitMap64([1, 2])


def test_an_event_known_only_by_its_ledger_becomes_the_last_event():
    """Otherwise the next pair would call everything before an older offset complete."""
    found = stored_progress(1, 2, last_event=EventPosition(3, 1))
    repairs = add_missing_ids(found, LogTail(0, (logged_event(1, 3), logged_event(2, 5))), EMPTY)

    assert found.checkpoints["acme"].last_event == EventPosition(5, 2)
    assert [(one.organization, one.day) for one in repairs] == [("acme", None)]
    assert add_missing_ids(found, LogTail(0, (logged_event(1, 3), logged_event(2, 5))), EMPTY) == []


def test_events_that_became_known_are_named():
    """A later loss of them is then found; an event that is named and lost stays named."""
    found = stored_progress(1, last_event=EventPosition(3, 1), last_backfill=EventPosition(90, 8))
    later = [logged_event(number, number, timestamp=NOW + number) for number in (10, 12)]
    backfill = logged_event(5, 20, created=NOW - 100 * DAY_MS, timestamp=NOW + 3)
    add_missing_ids(found, LogTail(0, (logged_event(1, 3), *later)), LogTail(0, (backfill,)))

    assert found.checkpoints["acme"].last_event == EventPosition(12, 12)
    assert found.checkpoints["acme"].last_backfill == EventPosition(90, 8)
    assert find_lost_tails(found, LogTail(0, (logged_event(1, 3),)), LogTail(0, (logged_event(8, 90),))) == {
        "acme"
    }

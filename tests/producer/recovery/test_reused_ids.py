"""Losses of Kafka in an organization whose records share ids."""

from dataclasses import replace

import pytest
from pyroaring import BitMap64

from producer.recovery.logged_events import LoggedEvent, LogScan, LogTail
from producer.recovery.reconcile import StoredProgress, add_missing_ids, find_lost_tails, remove_lost_ids
from producer.state.checkpoint import EventPosition, EventTime, new_checkpoint
from producer.state.ledger import DayLedger, Ledger, event_keys, time_key
from relay.timestamps import DAY_MS, day_start

NOW = day_start("2026-11-23") + 10 * 3_600_000
TODAY = "2026-11-23"
FIRST = LoggedEvent("acme", 7, NOW - 2_000, 10, NOW - 1_000)
SECOND = LoggedEvent("acme", 7, NOW - 500, 11, NOW, f"{5:016x}")
EMPTY = LogTail(0)


def ledger_of(*events, reused_after=None):
    day = DayLedger(reused_after=reused_after)
    return replace(day, ids=BitMap64([key for event in events for key in event.keys_in({TODAY: day})]))


def stored_progress(*events, last_event, reused_after=None):
    """Return the progress after these events of today, the last of them in the last transaction."""
    found = StoredProgress(last_timestamp=NOW)
    found.days["acme"][TODAY] = day = ledger_of(*events, reused_after=reused_after)
    found.added["acme", TODAY] = (NOW, day.ids - ledger_of(FIRST).ids)
    found.checkpoints["acme"] = replace(
        new_checkpoint("acme", NOW - 2 * DAY_MS, now=NOW),
        window_end=NOW,
        ledgers_from=day_start("2026-11-15"),
        last_event=last_event,
        newest_event=max(event.time for event in events),
    )
    return found


def log_scan(*events, since=0, reused_after=None):
    keys = ledger_of(*events, reused_after=reused_after).ids
    last = {"acme": events[-1]} if events else {}
    newest = {"acme": max(event.time for event in events)} if events else {}
    return LogScan({"acme": {TODAY: keys}}, last, since, 0, newest)


def test_a_lost_event_with_a_reused_id_is_unknown_again():
    """The event that has the id without a variant remains, and the newest event is the newest that remains."""
    found = stored_progress(FIRST, SECOND, last_event=EventPosition(11, 7), reused_after=FIRST.time)
    assert find_lost_tails(found, LogTail(0, (FIRST,)), EMPTY) == {"acme"}

    remove_lost_ids(found, {"acme"}, log_scan(FIRST, reused_after=FIRST.time), log_scan())

    assert found.days["acme"][TODAY].ids == BitMap64(event_keys(7, None))
    assert found.checkpoints["acme"].newest_event == FIRST.time
    assert found.checkpoints["acme"].last_event == EventPosition(10, 7)
    assert found.checkpoints["acme"].window_end < NOW


def test_a_ledger_whose_variant_is_on_no_topic_shows_a_loss():
    """The id alone is on the log; the checkpoint of the lost transaction is not."""
    found = stored_progress(FIRST, SECOND, last_event=EventPosition(10, 7))

    assert find_lost_tails(found, LogTail(0, (FIRST, SECOND)), EMPTY) == set()
    assert find_lost_tails(found, LogTail(0, (FIRST,)), EMPTY) == {"acme"}


def test_events_that_retention_deleted_bound_the_newest_event():
    """An older id must not look like that of another record: the end of its day is the bound."""
    found = stored_progress(FIRST, SECOND, last_event=EventPosition(30, 9))
    found.days["acme"]["2026-11-24"] = DayLedger(BitMap64([8]))

    remove_lost_ids(found, {"acme"}, log_scan(FIRST, since=NOW + 2 * DAY_MS), log_scan())

    assert found.checkpoints["acme"].newest_event == EventTime(day_start("2026-11-25") - 1, 2**63 - 1)


def test_an_event_after_the_last_progress_is_known_by_its_variant():
    """Its ledger was lost, or the cluster has no transactions."""
    found = stored_progress(FIRST, last_event=EventPosition(10, 7))
    repairs = add_missing_ids(found, LogTail(0, (FIRST, SECOND)), EMPTY)

    assert found.days["acme"][TODAY] == ledger_of(FIRST, SECOND, reused_after=FIRST.time)
    assert time_key(SECOND.time) in found.days["acme"][TODAY].ids
    assert found.checkpoints["acme"].newest_event == SECOND.time
    assert found.checkpoints["acme"].id_reuse is not None
    assert [one.day for one in repairs] == [TODAY, None]
    assert add_missing_ids(found, LogTail(0, (FIRST, SECOND)), EMPTY) == []


def test_a_late_record_whose_ledger_was_lost_bounds_the_day():
    """The ledger of today lacked its id, and the newest event is newer."""
    found = stored_progress(FIRST, last_event=EventPosition(10, 7))
    late = LoggedEvent("acme", 5, FIRST.created - 100, 11, NOW, f"{6:016x}")

    add_missing_ids(found, LogTail(0, (FIRST, late)), EMPTY)

    assert found.days["acme"][TODAY] == ledger_of(FIRST, late, reused_after=FIRST.time)
    assert add_missing_ids(found, LogTail(0, (FIRST, late)), EMPTY) == []


@pytest.mark.parametrize("ledger", [(), (FIRST,)])
def test_the_first_events_without_their_checkpoint_name_the_newest(ledger):
    """Without transactions, the relay died after it wrote them, or after it wrote the ledger too."""
    found = StoredProgress(last_timestamp=NOW)
    if ledger:
        found.days["acme"][TODAY] = ledger_of(*ledger)
    found.checkpoints["acme"] = new_checkpoint("acme", NOW - DAY_MS, now=NOW)
    on_log = (FIRST, replace(FIRST, id=8, offset=11, created=FIRST.created + 1))

    add_missing_ids(found, LogTail(0, on_log), EMPTY)

    assert found.checkpoints["acme"].newest_event == on_log[1].time
    assert add_missing_ids(found, LogTail(0, on_log), EMPTY) == []


def test_the_newest_event_stays_unknown_where_others_may_be_newer():
    """An older relay wrote the checkpoint: its ledger holds an event that is before the tail, or it names a last event."""
    older = ledger_of(FIRST, replace(FIRST, id=9))
    for days, position in (({TODAY: older}, None), ({}, EventPosition(10, 7))):
        found = StoredProgress(last_timestamp=NOW)
        found.days["acme"].update(days)
        found.checkpoints["acme"] = replace(
            new_checkpoint("acme", NOW - DAY_MS, now=NOW), last_event=position
        )
        add_missing_ids(found, LogTail(10, (FIRST,)), EMPTY)
        assert found.checkpoints["acme"].newest_event is None


def test_events_after_a_restore_are_known_by_their_time():
    """An ordinary event is before the first one with a variant, and the ledger was lost with both."""
    found = stored_progress(FIRST, last_event=EventPosition(10, 7))
    ordinary = LoggedEvent("acme", 9, SECOND.created - 100, 11, NOW)
    reused = replace(SECOND, offset=12)

    add_missing_ids(found, LogTail(0, (FIRST, ordinary, reused)), EMPTY)

    assert found.days["acme"][TODAY] == ledger_of(FIRST, ordinary, reused, reused_after=FIRST.time)
    assert Ledger("acme", found.days["acme"]).day_holds(ordinary.time)
    assert not Ledger("acme", found.days["acme"]).day_holds(EventTime(SECOND.created - 1, 7))


def test_a_time_key_whose_event_is_on_no_topic_shows_a_loss():
    """Another event has the same id and no variant, as the id was new."""
    lost = LoggedEvent("acme", 9, SECOND.created + 100, 12, NOW)
    found = stored_progress(FIRST, SECOND, lost, last_event=EventPosition(11, 7), reused_after=FIRST.time)

    assert find_lost_tails(found, LogTail(0, (FIRST, SECOND, lost)), EMPTY) == set()
    assert find_lost_tails(found, LogTail(0, (FIRST, SECOND)), EMPTY) == {"acme"}
    remove_lost_ids(found, {"acme"}, log_scan(FIRST, SECOND, reused_after=FIRST.time), log_scan())
    assert not Ledger("acme", found.days["acme"]).day_holds(lost.time)
    assert Ledger("acme", found.days["acme"]).day_holds(SECOND.time)


def test_a_lost_bound_is_restored_on_both_sides_of_midnight():
    """The event with a variant is of the next day: late records of today may have ids of today too."""
    found = stored_progress(FIRST, last_event=EventPosition(10, 7))
    reused = replace(SECOND, created=day_start("2026-11-24") + 1_000)

    repairs = add_missing_ids(found, LogTail(0, (FIRST, reused)), EMPTY)

    assert found.days["acme"][TODAY] == ledger_of(FIRST, reused_after=FIRST.time)
    assert found.days["acme"]["2026-11-24"].reused_after == FIRST.time
    assert [one.day for one in repairs] == [TODAY, "2026-11-24", None]
    assert add_missing_ids(found, LogTail(0, (FIRST, reused)), EMPTY) == []

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap64

from producer.recovery.logged_events import LogScan, LogTail
from producer.recovery.reconcile import find_lost_tails, remove_lost_ids
from producer.state.checkpoint import CompletenessPair, EventPosition
from producer.state.intervals import TimeRange
from producer.state.ledger import DayLedger
from relay.timestamps import DAY_MS, day_of
from tests.support.stored_progress import (
    EMPTY,
    NOW,
    TODAY,
    YESTERDAY,
    log_scan,
    logged_event,
    stored_progress,
)


def test_an_organization_whose_last_event_is_on_the_log_keeps_its_state():
    """The event at the offset must have the id and the organization that progress names."""
    found = stored_progress(7, last_event=EventPosition(40, 7))

    assert find_lost_tails(found, LogTail(0, (logged_event(7, 40),)), EMPTY) == set()
    assert find_lost_tails(found, LogTail(0, (logged_event(8, 40),)), EMPTY) == {"acme"}
    assert find_lost_tails(found, LogTail(0, (logged_event(7, 40, name="globex"),)), EMPTY) == {"acme"}
    assert find_lost_tails(found, LogTail(0, ()), EMPTY) == {"acme"}


def test_an_event_before_the_tail_is_no_loss():
    """Retention may have deleted it, or it is further back than the tail reaches."""
    assert find_lost_tails(stored_progress(7, last_event=EventPosition(40, 7)), LogTail(41), EMPTY) == set()


def test_backfill_is_compared_with_its_own_topic():
    """Progress names the last backfill event apart from the last live one."""
    found = stored_progress(7, last_event=EventPosition(4, 7), last_backfill=EventPosition(9, 3))

    assert (
        find_lost_tails(found, LogTail(0, (logged_event(7, 4),)), LogTail(0, (logged_event(3, 9),))) == set()
    )
    assert find_lost_tails(found, LogTail(0, (logged_event(7, 4),)), LogTail(0)) == {"acme"}


def test_lost_ids_are_unknown_again_and_read_again():
    """Ledgers keep ids on the log, cursors go back before the loss, and later pairs are dropped."""
    found = stored_progress(
        1,
        2,
        3,
        last_event=EventPosition(30, 3),
        pairs=(
            CompletenessPair(NOW - DAY_MS, 5),
            CompletenessPair(NOW - 1_000, 20),
            CompletenessPair(NOW, 31),
        ),
    )
    repairs = remove_lost_ids(found, {"acme"}, log_scan(logged_event(1, 10)), log_scan())
    checkpoint = found.checkpoints["acme"]

    assert found.days["acme"][TODAY].ids == BitMap64([1])
    assert checkpoint.window_end == NOW - DAY_MS
    assert checkpoint.last_event == EventPosition(10, 1)
    assert checkpoint.pairs == (CompletenessPair(NOW - DAY_MS, 5),)
    assert [(one.day, one.lost) for one in repairs] == [(TODAY, 2), (None, 0)]


def test_a_log_that_is_lost_whole_is_read_again():
    """The ledgers become empty and the checkpoint names no event."""
    found = stored_progress(1, 2, last_event=EventPosition(30, 2))
    found.days["acme"][YESTERDAY] = DayLedger(BitMap64([5]))
    remove_lost_ids(found, {"acme"}, log_scan(), log_scan())

    assert found.days["acme"][TODAY].ids == found.days["acme"][YESTERDAY].ids == BitMap64()
    assert found.checkpoints["acme"].window_end == found.checkpoints["acme"].live_since
    assert found.checkpoints["acme"].last_event is None


def test_events_deleted_by_retention_are_not_lost():
    """Only ids added last, which retention cannot have deleted, leave older ledgers."""
    since = NOW - 3_600_000
    found = stored_progress(1, 2, 3, last_event=EventPosition(30, 3))
    found.days["acme"][YESTERDAY] = DayLedger(BitMap64([8, 9]))
    found.added["acme", TODAY] = (NOW, BitMap64([2, 3]))
    found.added["acme", YESTERDAY] = (since - 1, BitMap64([9]))
    remove_lost_ids(found, {"acme"}, log_scan(logged_event(2, 20), since=since), log_scan())

    assert found.days["acme"][TODAY].ids == BitMap64([1, 2])
    assert found.days["acme"][YESTERDAY].ids == BitMap64([8, 9])


def test_an_empty_history_topic_does_not_hide_a_live_loss():
    """Retention on one topic proves nothing about the other."""
    found = stored_progress(1, 2, last_event=EventPosition(30, 2))
    remove_lost_ids(found, {"acme"}, log_scan(logged_event(1, 10)), log_scan(since=float("inf")))

    assert found.days["acme"][TODAY].ids == BitMap64([1])


def test_lost_backfill_is_open_again_and_its_remaining_events_are_known():
    """Ledgers of covered days are rebuilt from the topic, then the days are read again."""
    live_since = NOW - 2 * DAY_MS
    days = [live_since - number * DAY_MS for number in range(5)]
    found = stored_progress(
        7,
        last_event=EventPosition(4, 7),
        last_backfill=EventPosition(99, 55),
        backfilled=(TimeRange(days[4], live_since),),
    )
    on_log = [logged_event(51, 0, created=days[1]), logged_event(52, 1, created=days[2])]
    remove_lost_ids(found, {"acme"}, log_scan(logged_event(7, 4)), log_scan(*on_log))
    checkpoint = found.checkpoints["acme"]

    assert checkpoint.backfilled == ()
    assert found.days["acme"][day_of(days[1])].ids == BitMap64([51])
    assert found.days["acme"][day_of(days[2])].ids == BitMap64([52])
    assert checkpoint.last_backfill == EventPosition(1, 52)
    assert checkpoint.window_end == NOW


def test_a_loss_in_days_without_a_ledger_is_read_again():
    """Ledgers are rebuilt from the topic, and cursors go back to the last pair before the loss."""
    old, late = NOW - 12 * DAY_MS, NOW - 11 * DAY_MS
    found = stored_progress(
        7,
        last_event=EventPosition(31, 7),
        live_since=NOW - 20 * DAY_MS,
        day_mark=NOW,
        week_mark=NOW,
        pairs=(CompletenessPair(NOW - DAY_MS, 11), CompletenessPair(NOW, 32)),
    )
    remove_lost_ids(
        found, {"acme"}, log_scan(logged_event(1, 10, created=old), since=NOW - 15 * DAY_MS), log_scan()
    )
    checkpoint = found.checkpoints["acme"]

    assert found.days["acme"][day_of(old)].ids == BitMap64([1])
    assert checkpoint.ledgers_from == NOW - 15 * DAY_MS
    assert checkpoint.week_mark <= late
    assert checkpoint.window_end == NOW - DAY_MS
    assert checkpoint.pairs == (CompletenessPair(NOW - DAY_MS, 11),)


def test_events_removed_by_half_a_repair_are_read_again():
    """The repaired ledgers no longer show the loss, and the repaired checkpoint is lost."""
    early, late = CompletenessPair(NOW - DAY_MS, 11), CompletenessPair(NOW, 12)
    found = stored_progress(1, last_event=EventPosition(11, 2), pairs=(early, late))
    remove_lost_ids(found, {"acme"}, log_scan(logged_event(1, 10)), log_scan())

    checkpoint = found.checkpoints["acme"]
    assert checkpoint.window_end == NOW - DAY_MS
    assert checkpoint.pairs == (early,)
    assert checkpoint.last_event == EventPosition(10, 1)


def test_backfill_deleted_by_retention_is_not_opened_again():
    """A live loss long after the last backfill event concerns no backfill."""
    covered = (TimeRange(NOW - 5 * DAY_MS, NOW - 2 * DAY_MS),)
    found = stored_progress(
        1, 2, last_event=EventPosition(30, 2), last_backfill=EventPosition(8, 5), backfilled=covered
    )
    remove_lost_ids(
        found, {"acme"}, log_scan(logged_event(1, 10)), LogScan(complete_since=NOW - DAY_MS, start=9)
    )

    assert found.checkpoints["acme"].backfilled == covered


def test_a_ledger_without_its_checkpoint_shows_a_loss():
    """Ids added with the last progress must be on the log, unless retention may have deleted them."""
    found = stored_progress(1, 2, last_event=EventPosition(5, 1))
    on_log = (logged_event(1, 5),)
    found.added["acme", TODAY] = (NOW - 1, BitMap64([2]))
    assert find_lost_tails(found, LogTail(0, on_log), EMPTY) == set()
    found.added["acme", TODAY] = (NOW, BitMap64([2]))
    assert find_lost_tails(found, LogTail(0, on_log), EMPTY) == {"acme"}
    assert find_lost_tails(found, LogTail(0, on_log, complete_since=NOW + 1), EMPTY) == set()
    assert find_lost_tails(found, LogTail(0, (*on_log, logged_event(2, 7))), EMPTY) == set()

    found.added["acme", TODAY] = (NOW, BitMap64([2]))
    remove_lost_ids(found, {"acme"}, log_scan(*on_log), log_scan())
    assert found.days["acme"][TODAY].ids == BitMap64([1])


@given(st.lists(st.integers(0, 7 * 24), min_size=1, max_size=60), st.integers(0, 60))
def test_after_a_loss_exactly_the_lost_ids_are_unknown(hours, kept):
    """Ledgers hold the remaining ids, and no cursor is beyond a lost event, for any lost log end."""
    events = [
        logged_event(number, number, created=NOW - hour * 3_600_000) for number, hour in enumerate(hours, 100)
    ]
    found = stored_progress(
        live_since=NOW - 8 * DAY_MS, last_event=EventPosition(events[-1].offset, events[-1].id)
    )
    for event in events:
        day = found.days["acme"].get(day_of(event.created), DayLedger())
        found.days["acme"][day_of(event.created)] = DayLedger(day.ids | BitMap64([event.id]))
    remaining, lost = events[:kept], events[kept:]
    if find_lost_tails(found, LogTail(0, tuple(remaining)), EMPTY):
        remove_lost_ids(found, {"acme"}, log_scan(*remaining), log_scan())
    known = {number for day in found.days["acme"].values() for number in day.ids}
    checkpoint = found.checkpoints["acme"]

    assert known == {event.id for event in remaining}
    assert all(checkpoint.window_end <= event.created for event in lost)
    assert find_lost_tails(found, LogTail(0, tuple(remaining)), EMPTY) == set()

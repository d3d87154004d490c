"""The mode of an event, by its time."""

from dataclasses import replace

from producer.state import mode
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS, day_start

NOW = day_start("2026-11-23") + 9 * 3_600_000
MINUTE = 60_000
START = new_checkpoint("acme", NOW, now=NOW)


def test_the_mode_of_an_event_follows_from_its_time():
    """A record from before the first contact is backfill; one behind the checkpoint is late."""
    point = replace(START, window_end=NOW + 60 * MINUTE)
    modes = [
        mode.mode_of(created, point, 15 * MINUTE, backfill_from)
        for backfill_from in (None, NOW - DAY_MS)
        for created in (
            NOW - DAY_MS - 1,
            NOW - DAY_MS,
            NOW - 1,
            NOW,
            NOW + 45 * MINUTE - 1,
            NOW + 45 * MINUTE,
        )
    ]
    assert modes == [
        None,
        None,
        None,
        "late",
        "late",
        "live",
        None,
        "backfill",
        "backfill",
        "late",
        "late",
        "live",
    ]


def test_a_record_of_a_day_without_a_ledger_is_not_published():
    """A slow pager may hold records of days whose ledgers another read has deleted."""
    gone = day_start("2026-11-20")
    point = replace(START, live_since=gone - 2 * DAY_MS, window_end=NOW, ledgers_from=gone)
    covered = replace(
        point,
        backfilled=(
            TimeRange(gone - 9 * DAY_MS, gone - 4 * DAY_MS),
            TimeRange(gone - 3 * DAY_MS, gone - 2 * DAY_MS),
        ),
    )

    def modes(checkpoint):
        instants = (
            gone - 5 * DAY_MS,
            gone - 4 * DAY_MS,
            gone - 2 * DAY_MS - 1,
            gone - 2 * DAY_MS,
            gone - 1,
            gone,
        )
        return [mode.mode_of(created, checkpoint, MINUTE, gone - 10 * DAY_MS) for created in instants]

    assert modes(point) == ["backfill", "backfill", "backfill", None, None, "late"]
    assert modes(covered) == [None, "backfill", None, None, None, "late"]

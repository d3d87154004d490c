"""A checkpoint fits what its topic accepts, and claims nothing that was not read."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from producer.state.checkpoint import CompletenessPair, new_checkpoint
from producer.state.intervals import TimeRange, add_range, missing_ranges
from producer.state.ledger import is_day_kept
from producer.state.smaller_checkpoint import fit_checkpoint, join_nearest
from relay.timestamps import DAY_MS, day_of, day_start

NOW = 1_790_000_000_000
DAY = day_start(day_of(NOW))
BASE = new_checkpoint("acme", NOW, now=NOW)


def size_of(checkpoint):
    return 200 + 20 * len(checkpoint.unread_ranges) + 16 * len(checkpoint.pairs)


def with_ranges(starts, width, ledgers_from):
    ranges = ()
    for start in starts:
        ranges = add_range(ranges, TimeRange(start, start + width))
    return replace(BASE, unread_ranges=ranges, live_since=DAY - 300 * DAY_MS, ledgers_from=ledgers_from)


CHECKPOINTS = st.builds(
    with_ranges,
    st.lists(st.integers(DAY - 20 * DAY_MS, DAY), min_size=1, max_size=60),
    st.integers(1, 2 * 3_600_000),
    st.integers(DAY - 20 * DAY_MS, DAY),
)


@given(CHECKPOINTS)
def test_ranges_are_joined_only_over_days_whose_ledgers_are_kept(checkpoint):
    """A day between two ranges is asked for again, so each of its records must be known as published."""
    joined = join_nearest(checkpoint)
    if joined is None:
        return
    assert len(joined.unread_ranges) < len(checkpoint.unread_ranges)
    for one in checkpoint.unread_ranges:
        assert not missing_ranges(joined.unread_ranges, one)
    for one in joined.unread_ranges:
        for gap in missing_ranges(checkpoint.unread_ranges, one):
            for start in range(day_start(day_of(gap.start)), gap.end, DAY_MS):
                kept = is_day_kept(day_of(start), replace(checkpoint, backfilled=(TimeRange(0, NOW),)))
                assert kept, (gap, day_of(start))


@given(CHECKPOINTS, st.integers(300, 2_000))
def test_a_checkpoint_fits_or_is_refused(checkpoint, most):
    pairs = tuple(CompletenessPair(NOW - 1_000 + number, number) for number in range(32))
    checkpoint = replace(checkpoint, pairs=pairs)
    fitting = fit_checkpoint(checkpoint, size_of, most)
    if fitting is None:
        return
    assert size_of(fitting) + 100 <= most
    assert fitting.complete_up_to <= checkpoint.complete_up_to
    for one in checkpoint.unread_ranges:
        assert not missing_ranges(fitting.unread_ranges, one)
    if size_of(checkpoint) + 100 <= most:
        assert fitting == checkpoint


def test_ranges_of_one_day_fit_whatever_their_number():
    checkpoint = with_ranges([DAY + 10 * number for number in range(500)], 1, 0)
    fitting = fit_checkpoint(checkpoint, size_of, 400)
    assert fitting is not None
    assert len(fitting.unread_ranges) <= 5

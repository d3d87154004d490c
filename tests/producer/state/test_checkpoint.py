from dataclasses import replace

import fastavro
from hypothesis import given
from hypothesis import strategies as st

import schemas
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import (
    MAX_PAIRS,
    Checkpoint,
    CompletenessPair,
    EventPosition,
    new_checkpoint,
    with_completeness_pair,
)
from producer.state.intervals import TimeRange

FULL = Checkpoint(
    organization="acme",
    window_end=10,
    live_since=5,
    day_mark=8,
    week_mark=7,
    ledgers_from=0,
    written=11,
    backfilled=(TimeRange(1, 2), TimeRange(3, 5)),
    pairs=(CompletenessPair(9, 100), CompletenessPair(10, 101)),
    last_event=EventPosition(100, 7),
    last_backfill=EventPosition(0, 2),
    cloud_id="c",
)


def test_a_checkpoint_fits_its_schema_and_round_trips():
    """A checkpoint fills every field of the schema and no other."""
    for one in (FULL, new_checkpoint("acme", 5, now=6)):
        record = one.to_record()
        assert fastavro.validate(record, schemas.load("checkpoint"), strict=True)
        assert set(record) == {field["name"] for field in schemas.load("checkpoint")["fields"]}
        assert checkpoints.from_record(record) == one


def complete_up_to(pairs, offset):
    """Return the instant up to which the pairs call a reader with this next offset complete."""
    return max((pair.window_end for pair in pairs if pair.offset <= offset), default=None)


STEPS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 3)), max_size=120)


@given(STEPS)
def test_pairs_never_promise_too_much(steps):
    """Everything before a pair's instant was published before its offset, thinned out or not."""
    point, offset, truth = new_checkpoint("acme", 1, now=0), 0, []
    for later, more in steps:
        offset += more
        point = with_completeness_pair(replace(point, window_end=point.window_end + later), offset)
        truth.append(CompletenessPair(point.window_end, offset))
    assert len(point.pairs) <= MAX_PAIRS
    assert list(point.pairs) == sorted(point.pairs, key=lambda pair: (pair.window_end, pair.offset))
    for reader in range(offset + 1):
        best = max((pair.window_end for pair in truth if pair.offset <= reader), default=0)
        promised = complete_up_to(point.pairs, reader) or 0
        assert promised <= best
        assert len(steps) > MAX_PAIRS or promised == best
    if truth:
        assert complete_up_to(point.pairs, offset) == truth[-1].window_end


def test_pairs_reach_far_back_and_are_dense_at_the_end():
    """After 10,000 rounds the pairs serve readers that are seconds, an hour and a day behind."""
    point = new_checkpoint("acme", 0, now=0)
    for minute in range(1, 10_000):
        point = with_completeness_pair(replace(point, window_end=minute), minute)
    ends = [pair.window_end for pair in point.pairs]
    assert ends[0] == 1
    assert ends[-4:] == [9996, 9997, 9998, 9999]
    for back in (60, 1440, 5000):
        assert 9999 - complete_up_to(point.pairs, 9999 - back) < 2 * back


def test_a_window_end_that_is_set_back_drops_later_pairs():
    """No pair promises more than the checkpoint does."""
    point = with_completeness_pair(new_checkpoint("acme", 100, now=0), 5)
    assert with_completeness_pair(replace(point, window_end=50), 6).pairs == (CompletenessPair(50, 6),)

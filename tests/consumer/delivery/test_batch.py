import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consumer.delivery.batch import RequestBatch, json_array_bytes
from tests.support.batches import rows

LIMIT = 60
LINGER = 5.0


def body(taken):
    return b"[" + b",".join(taken.encoded) + b"]"


class BodiesAreExactlyBounded(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.batch = RequestBatch(LIMIT, LINGER)
        self.now = 100.0
        self.added = []
        self.taken = []
        self.oldest = None

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds):
        self.now += seconds

    @rule(
        sizes=st.lists(st.integers(2, LIMIT - 2), max_size=8),
        waited=st.floats(0, 3),
    )
    def add(self, sizes, waited):
        left = rows([b"1" * size for size in sizes], len(self.added))
        self.added += left.encoded
        while left:
            count = self.batch.try_add(left, self.now - waited)
            if count:
                self.oldest = min(self.oldest or self.now, self.now - waited)
            if count < len(left):
                assert len(body(self.batch._rows)) + len(left.encoded[count]) + 1 > LIMIT
                self.take()
            left = left[count:]

    @rule()
    def take(self):
        taken = self.batch.take()
        assert len(body(taken)) == json_array_bytes(taken) <= LIMIT
        assert len(taken.records) == len(taken) == sum(map(len, taken.sequences))
        if taken:
            assert taken.sequences[0].first == len(self.taken)
        self.taken += taken.encoded
        self.oldest = None

    @invariant()
    def nothing_is_lost_or_reordered(self):
        assert self.taken + list(self.batch._rows.encoded) == self.added

    @invariant()
    def its_size_is_exact(self):
        assert self.batch.bytes == len(body(self.batch._rows))

    @invariant()
    def its_age_counts_from_its_first_event(self):
        due = None if self.oldest is None else max(0.0, self.oldest + LINGER - self.now)
        assert self.batch.until_next(self.now) == due


BodiesAreExactlyBounded.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
test_bodies_are_exactly_bounded = BodiesAreExactlyBounded.TestCase


def test_a_body_may_be_full_to_the_last_byte():
    batch = RequestBatch(9, LINGER)
    assert batch.try_add(rows([b"{}", b"{}", b"1"]), 0) == 3
    assert len(body(batch.take())) == 9 == len(json.dumps([{}, {}, 1], separators=(",", ":")))


def test_a_row_that_fits_nowhere_is_a_defect_and_says_so():
    with pytest.raises(ValueError, match="fits into no body"):
        RequestBatch(10, LINGER).try_add(rows([b"1" * 9]), 0)


def test_the_first_event_after_an_idle_spell_waits_its_full_time():
    batch = RequestBatch(LIMIT, LINGER)
    batch.try_add(rows([b"1"]), 10)
    batch.take()
    assert batch.until_next(1000) is None
    batch.try_add(rows([b"1"]), 1000)
    assert batch.until_next(1001) == LINGER - 1


def test_a_batch_knows_how_many_rows_wait_and_how_old_the_first_is():
    """Both are of the rows since the last body was taken; an empty batch has no oldest."""
    batch = RequestBatch(LIMIT, LINGER)
    waiting = rows([b"1", b"2"])
    batch.try_add(waiting, 0)
    assert (len(batch), batch.oldest_ms) == (2, waiting.records[0].timestamp)
    batch.take()
    assert (len(batch), batch.oldest_ms) == (0, None)

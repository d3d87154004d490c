import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from consumer.delivery.batch import RequestBatch, Rows
from consumer.delivery.in_delivery import oldest_ms
from consumer.delivery.routes import by_route, route_of
from consumer.destinations.contract import BodyFormat, OffsetRange
from consumer.formats.encoded_rows import EncodedRows
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, SequenceRange, TrackedRecords
from relay.kafka import TopicPartition
from tests.support.batches import rows
from tests.support.messages import Message

LIMIT = 60
LINGER = 5.0
JSON_ARRAY = BodyFormat(LIMIT, b"[", b",", b"]")

formats = st.builds(
    BodyFormat,
    max_bytes=st.just(LIMIT),
    prefix=st.binary(max_size=3),
    separator=st.sampled_from([b"", b",", b"\n", b"\r\n"]),
    suffix=st.binary(max_size=3),
    max_rows=st.none() | st.integers(1, 5),
)


class BodiesAreExactlyBounded(RuleBasedStateMachine):
    """For any framing: no body is larger than its format allows, none closes too early, and no row is lost or moved."""

    @initialize(body_format=formats)
    def begin(self, body_format):
        self.format = body_format
        self.batch = RequestBatch(body_format, LINGER)
        self.now = 100.0
        self.added = []
        self.taken = []
        self.held = []
        self.oldest = None

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds):
        self.now += seconds

    @rule(data=st.data(), waited=st.floats(0, 3))
    def add(self, data, waited):
        largest = self.format.max_row_bytes
        encoded = data.draw(st.lists(st.integers(0, largest).map(lambda size: b"1" * size), max_size=8))
        left = rows(encoded, len(self.added), self.format.separator)
        self.added += encoded
        while left:
            count = self.batch.try_add(left, self.now - waited)
            self.held += list(left.encoded)[:count]
            if count:
                self.oldest = min(self.oldest or self.now, self.now - waited)
            if count < len(left):
                next_row = list(left.encoded)[count]
                full = len(self.body([*self.held, next_row])) > LIMIT
                assert full or len(self.held) == self.format.max_rows
                self.take()
            left = left[count:]

    @rule()
    def take(self):
        taken = self.batch.take()
        assert list(taken.encoded) == self.held
        if taken:
            body = self.format.framed(taken.encoded)
            assert body == self.body(self.held)
            assert len(body) == self.format.size(taken.encoded) <= LIMIT
            assert len(taken) <= (self.format.max_rows or len(taken))
            assert taken.tracked.sequences[0].first == len(self.taken)
            (offsets,) = taken.offsets()
            assert (offsets.first, offsets.last) == (len(self.taken), len(self.taken) + len(taken) - 1)
        assert len(taken.tracked.records) == len(taken) == sum(map(len, taken.tracked.sequences))
        self.taken += self.held
        self.held = []
        self.oldest = None

    @rule(data=st.data())
    def look_at_some(self, data):
        """Any part of a buffer, and any choice of its rows, are those rows."""
        encoded = EncodedRows.of(self.taken, self.format.separator)
        start = data.draw(st.integers(0, len(self.taken)))
        stop = data.draw(st.integers(start, len(self.taken)))
        part = encoded[start:stop]
        assert list(part) == self.taken[start:stop]
        indices = sorted(data.draw(st.sets(st.sampled_from(range(len(part)))))) if len(part) else []
        assert list(part.select(indices)) == [self.taken[start:stop][index] for index in indices]
        joined = EncodedRows.joined([part, encoded[:start], EncodedRows()], self.format.separator)
        assert list(joined) == self.taken[start:stop] + self.taken[:start]
        assert list(EncodedRows.joined([joined[1:]], self.format.separator)) == list(joined)[1:]

    def body(self, encoded):
        return self.format.prefix + self.format.separator.join(encoded) + self.format.suffix

    @invariant()
    def nothing_is_lost_or_reordered(self):
        assert self.taken + self.held == self.added

    @invariant()
    def its_age_counts_from_its_first_event(self):
        due = None if self.oldest is None else max(0.0, self.oldest + LINGER - self.now)
        assert self.batch.until_next(self.now) == due


BodiesAreExactlyBounded.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
test_bodies_are_exactly_bounded = BodiesAreExactlyBounded.TestCase


def test_a_body_may_be_full_to_the_last_byte():
    body_format = BodyFormat(9, b"[", b",", b"]")
    batch = RequestBatch(body_format, LINGER)
    assert batch.try_add(rows([b"{}", b"{}", b"1"]), 0) == 3
    assert len(body_format.framed(batch.take().encoded)) == 9
    assert len(json.dumps([{}, {}, 1], separators=(",", ":"))) == 9


def test_a_row_that_fits_nowhere_is_a_defect_and_says_so():
    with pytest.raises(ValueError, match="fits into no body"):
        RequestBatch(BodyFormat(10, b"[", b",", b"]"), LINGER).try_add(rows([b"1" * 9]), 0)


def test_the_first_event_after_an_idle_spell_waits_its_full_time():
    batch = RequestBatch(JSON_ARRAY, LINGER)
    batch.try_add(rows([b"1"]), 10)
    batch.take()
    assert batch.until_next(1000) is None
    batch.try_add(rows([b"1"]), 1000)
    assert batch.until_next(1001) == LINGER - 1


def test_a_batch_knows_how_old_its_first_row_is():
    """An empty batch has no oldest row."""
    batch = RequestBatch(JSON_ARRAY, LINGER)
    waiting = rows([b"1", b"2"])
    batch.try_add(waiting, 0)
    assert batch.oldest_ms == waiting.tracked.records[0].timestamp
    batch.take()
    assert batch.oldest_ms is None


def test_a_taken_body_keeps_no_other_rows_in_memory():
    """A body may be in flight for hours; the buffer that its rows were cut from is twenty times as large."""
    batch = RequestBatch(JSON_ARRAY, LINGER)
    batch.try_add(rows([b"1"] * 1000)[:5], 0)
    assert batch.take().encoded.data == b"[1,1,1,1,1]"


def test_rows_divide_into_runs_of_one_partition():
    """A body of a destination that wants one partition a body holds no other's rows, and knows its offsets."""
    a, b = TopicPartition("events", 0), TopicPartition("events", 1)
    records = [Message(b"", b"", 1, partition=p, offset=o) for p, o in [(0, 5), (0, 9), (1, 2), (0, 10)]]
    sequences = (
        SequenceRange(a, 0, 1),
        SequenceRange(a, 1, 2),
        SequenceRange(b, 0, 1),
        SequenceRange(a, 2, 3),
    )
    mixed = Rows(EncodedRows.of([b"p", b"q", b"r", b"s"], b","), TrackedRecords(records, sequences))
    parts = list(mixed.by_partition())
    assert [list(part.encoded) for part in parts] == [[b"p", b"q"], [b"r"], [b"s"]]
    assert [part.offsets() for part in parts] == [
        (OffsetRange("events", 0, 5, 9),),
        (OffsetRange("events", 1, 2, 2),),
        (OffsetRange("events", 0, 10, 10),),
    ]
    assert mixed.offsets() == (OffsetRange("events", 0, 5, 10), OffsetRange("events", 1, 2, 2))
    assert list(Rows().by_partition()) == []


def test_rows_divide_by_the_route_of_their_organization():
    """Each route keeps the order of its rows; organizations without a route share one part, and no rows make no part."""
    a, b = TopicPartition("events", 0), TopicPartition("events", 1)
    keys = ["one", "two", "other", "one", "two", "more"]
    records = [Message(b"", key.encode(), 1, offset=offset) for offset, key in enumerate(keys)]
    tracked = TrackedRecords(records, (SequenceRange(a, 0, 3), SequenceRange(b, 0, 3)))
    mixed = Rows(EncodedRows.of([b"p", b"q", b"r", b"s", b"t", b"u"], b","), tracked)
    routes = {"one": "x", "two": "y", "absent": "z"}
    parts = dict(by_route(mixed, routes))
    assert {route: list(part.encoded) for route, part in parts.items()} == {
        "x": [b"p", b"s"],
        "y": [b"q", b"t"],
        None: [b"r", b"u"],
    }
    assert [route_of(part, routes) for part in parts.values()] == list(parts)
    assert [part.tracked.sequences for part in parts.values()] == [
        (SequenceRange(a, 0, 1), SequenceRange(b, 0, 1)),
        (SequenceRange(a, 1, 2), SequenceRange(b, 1, 2)),
        (SequenceRange(a, 2, 3), SequenceRange(b, 2, 3)),
    ]
    assert list(by_route(Rows(), routes)) == []
    assert route_of(Rows(), routes) is None
    assert [(route, len(part)) for route, part in by_route(mixed, {})] == [(None, 6)]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=40), st.data())
def test_offsets_are_right_when_bodies_of_routes_end_in_any_order(keys, data):
    """The committable offset never passes a record whose body is not delivered, and reaches the end at last."""
    partition, tracker = TopicPartition("events", 0), OffsetTracker()
    tracker.start(partition, DeliveryProgress(None, 0))
    records = [Message(b"", key.encode(), 1, offset=offset) for offset, key in enumerate(keys)]
    sequences = tuple(sequence for sequence, _ in tracker.track(partition, records))
    every = Rows(EncodedRows.of([b"1"] * len(keys), b","), TrackedRecords(records, sequences))
    bodies = [part for _, part in by_route(every, {"a": "x", "b": "y", "c": "x"})]
    delivered = set()
    for body in data.draw(st.permutations(bodies)):
        tracker.mark_delivered(body.tracked)
        delivered |= {record.offset for record in body.tracked.records}
        first_missing = next(offset for offset in range(len(keys) + 1) if offset not in delivered)
        assert tracker.progress()[partition].offset == first_missing
    assert tracker.progress()[partition].offset == len(keys)


def test_the_oldest_of_several_partitions_is_not_the_first():
    """After an outage the partitions of a body may be hours apart."""
    first, second = TopicPartition("events", 0), TopicPartition("events", 1)
    records = [Message(b"", b"", at) for at in (70, 80, 20, 90)]
    tracked = TrackedRecords(records, (SequenceRange(first, 0, 2), SequenceRange(second, 5, 7)))
    assert oldest_ms(tracked) == 20
    assert oldest_ms(tracked[1:2]) == 80

"""Records that are taken by whole batches, beside those that aiokafka itself makes of the same bytes."""

import gc
import tracemalloc
from dataclasses import dataclass
from struct import pack
from weakref import WeakSet

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.kafka import TopicPartition, values_of
from relay.kafka.aiokafka_patches.record_parsing import _PollRoom, _ReadableRecords
from tests.relay.kafka.aiokafka_patches.test_record_parsing import BAD, GOOD, MIDDLE, FakeBroker, batch_of, of

TP = TopicPartition("events", 0)
HEAD_SIZE, CONTROL, LOG_APPEND_TIME = 61, 0x20, 0x08


@dataclass(frozen=True)
class Stored:
    """A batch of `span` offsets, of which compaction has left the records at `kept`."""

    span: int
    kept: frozenset[int]
    producer: int = -1
    transactional: bool = False
    marker: int | None = None
    """Of a control batch: 0 aborts the transaction of the producer, 1 commits it."""
    attributes: int = 0
    compression: int = 0

    def to_bytes(self, base_offset):
        is_control = self.marker is not None
        codec = 0 if is_control or not self.kept else self.compression
        builder = DefaultRecordBatchBuilder(2, codec, self.transactional, self.producer, 0, 0, 1_000_000)
        for number in [0] if is_control else sorted(self.kept) or [0]:
            key = pack(">hh", 0, self.marker) if is_control else [None, b"", b"key"][number % 3]
            value = [None, b"", b"%d" % number][number // 2 % 3]
            headers = [("name", None), ("name", b"x")][: number % 3]
            builder.append(number, timestamp=1_000 + number, key=key, value=value, headers=headers)
        built = bytearray(builder.build())
        if (
            not self.kept and not is_control
        ):  # Kafka keeps the head of an empty batch for the producer's state
            built = built[:HEAD_SIZE]
            built[8:12], built[57:61] = pack(">i", HEAD_SIZE - 12), bytes(4)
        built[:8] = base_offset.to_bytes(8, "big")
        built[22] |= self.attributes | (CONTROL if is_control else 0)
        built[23:27] = (self.span - 1).to_bytes(4, "big")
        return bytes(built)


@st.composite
def stored(draw):
    producer = draw(st.sampled_from([-1, 7, 8]))
    transactional = producer >= 0 and draw(st.booleans())
    if transactional and draw(st.integers(0, 3)) == 0:
        return Stored(1, frozenset(), producer, transactional=True, marker=draw(st.integers(0, 1)))
    span = draw(st.integers(1, 6))
    kept = draw(st.one_of(st.just(frozenset(range(span))), st.frozensets(st.integers(0, span - 1))))
    attributes = draw(st.sampled_from([0, LOG_APPEND_TIME]))
    return Stored(
        span, kept, producer, transactional, None, attributes, draw(st.sampled_from([0, 0, 1, 2, 3, 4]))
    )


def facts(record):
    return (
        (record.topic, record.partition, record.offset, record.timestamp, record.timestamp_type),
        (record.key, record.value, tuple(record.headers)),
    )


def source_of(data, start=0, aborted=(), isolation=READ_COMMITTED):
    return PartitionRecords(TP, MemoryRecords(data), list(aborted), start, None, None, False, isolation)


def fail(*failure):
    pytest.fail(str(failure))


@settings(max_examples=100, deadline=None)
@given(
    batches=st.lists(stored(), min_size=1, max_size=8),
    first=st.integers(0, 20),
    start=st.integers(0, 6),
    aborted=st.lists(st.tuples(st.sampled_from([7, 8]), st.integers(0, 60)), max_size=4),
    isolation=st.sampled_from([READ_COMMITTED, READ_COMMITTED, READ_UNCOMMITTED]),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    unlimited=st.booleans(),
)
def test_the_records_and_the_position_are_those_of_aiokafka(
    batches, first, start, aborted, isolation, sizes, unlimited
):
    """Markers, aborted transactions, gaps, empty batches, and a start in the middle of a batch."""
    data, end = b"", first
    for batch in batches:
        data += batch.to_bytes(end)
        end += batch.span
    begin = first + min(start, batches[0].span - 1)
    theirs = source_of(data, begin, aborted, isolation)
    expected = [facts(record) for record in theirs]

    mine, taken = _ReadableRecords(TP, source_of(data, begin, aborted, isolation), fail, _PollRoom(None)), []
    while not mine.exhausted:
        limit = None if unlimited else sizes[len(taken) % len(sizes)]
        part = mine.take(limit)
        assert limit is None or len(part) <= limit
        assert values_of(part) == [record.value for record in part]
        taken += [facts(record) for record in part]
        following = expected[len(taken)][0][2] if len(taken) < len(expected) else end
        assert (taken[-1][0][2] if taken else begin - 1) < mine.next_fetch_offset <= following
    assert taken == expected
    assert mine.next_fetch_offset == theirs.next_fetch_offset


def test_a_gap_between_the_offsets_of_a_batch_takes_no_memory():
    """Compaction leaves gaps, and a damaged batch may hold any."""
    gap = 2_000_000
    source = source_of(Stored(gap + 1, frozenset([0, gap])).to_bytes(0))
    tracemalloc.start()
    try:
        taken = _ReadableRecords(TP, source, fail, _PollRoom(None)).take(None)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert [each.offset for each in taken] == [0, gap]


@pytest.mark.parametrize("max_records", [None, 2])
async def test_a_fetch_is_freed_when_its_records_are_taken_and_when_it_is_dropped(monkeypatch, max_records):
    """The services let the garbage collector run seldom, so a cycle would keep the bytes of many fetches."""
    in_memory = WeakSet()

    class CountedFetch(PartitionRecords):
        def __init__(self, *args):
            super().__init__(*args)
            in_memory.add(self)

    monkeypatch.setattr("aiokafka.consumer.fetcher.PartitionRecords", CountedFetch)
    broker = FakeBroker(batch_of(MIDDLE))
    gc.disable()
    try:
        assert await broker.fetcher.fetched_records([], 30, 1)
        assert in_memory
        for tp in (GOOD, BAD):
            broker.fetcher.seek_to(tp, 0)
        found, _ = await broker.read(max_records)
        assert found[BAD] == of(range(9))
        assert not in_memory
    finally:
        gc.enable()
        await broker.fetcher.close()

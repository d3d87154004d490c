import gc
import weakref
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.kafka import (
    TopicPartition,
    have_headers,
    join_records,
    keys_of,
    offsets_of,
    select_records,
    timestamp_types_of,
    timestamps_of,
    value_sizes_of,
    values_of,
)
from relay.kafka.records import FetchedRecords

FIRST, SECOND = TopicPartition("events", 1), TopicPartition("events", 2)


@dataclass(frozen=True)
class Parsed:
    offset: int
    value: bytes | None = b"value"
    key: bytes | None = b"key"
    timestamp: int = 5
    timestamp_type: int = 0
    headers: tuple = ()


def fetched(offsets, tp=FIRST):
    return FetchedRecords.of([Parsed(offset, b"%d" % offset) for offset in offsets], tp)


def test_a_record_is_made_when_it_is_asked_for():
    records = FetchedRecords.of([Parsed(7, headers=[("name", b"x")])], SECOND)
    for record in (records[0], *records, records[-1:][0]):
        assert (record.topic, record.partition, record.offset) == ("events", 2, 7)
        assert (record.key, record.value, record.timestamp, record.timestamp_type) == (
            b"key",
            b"value",
            5,
            0,
        )
        assert record.headers == (("name", b"x"),)
    with pytest.raises(IndexError):
        records[1]


def test_parts_of_several_partitions_are_joined_sliced_and_selected_in_order():
    joined = join_records([fetched([1, 2, 3]), fetched([10, 20], SECOND)])
    assert isinstance(joined, FetchedRecords)
    assert [(each.partition, each.offset) for each in joined[2:4]] == [(1, 3), (2, 10)]
    assert [(each.partition, each.offset) for each in select_records(joined, [0, 4])] == [(1, 1), (2, 20)]


def test_records_of_a_fetch_and_others_are_joined_as_a_list():
    other = fetched([5])[0]
    joined = join_records([fetched([1, 2]), [other]])
    assert offsets_of(joined) == [1, 2, 5]
    assert offsets_of(select_records(joined, [0, 2])) == [1, 5]


@pytest.mark.parametrize("make", [lambda records: records, list])
def test_columns_are_those_of_the_records(make):
    records = FetchedRecords.of([Parsed(1), Parsed(2, None, None, 9, 1)], FIRST)
    found = make(records)
    assert offsets_of(found) == [1, 2]
    assert timestamps_of(found) == [5, 9]
    assert timestamp_types_of(found) == {0, 1}
    assert keys_of(found) == [b"key", None]
    assert values_of(found) == [b"value", None]
    assert value_sizes_of(found) == [5, 0]
    assert not have_headers(found)


def test_values_that_were_read_before_follow_each_part():
    first, second = fetched([1, 2, 3]), fetched([10, 20], SECOND)
    assert values_of(first) == [b"1", b"2", b"3"]
    joined = join_records([first, second])
    assert values_of(joined) == [b"1", b"2", b"3", b"10", b"20"]
    assert values_of(joined[2:4]) == [b"3", b"10"]
    assert values_of(select_records(joined, [4, 1])) == [b"20", b"2"]
    assert [each.value for each in joined[3:]] == [b"10", b"20"]


def test_one_header_among_many_records_is_seen():
    assert have_headers(FetchedRecords.of([Parsed(1), Parsed(2, headers=[("a", b"")])], FIRST))


@given(st.lists(st.integers(1, 4), max_size=5), st.data())
def test_parts_of_parts_are_those_of_a_list(sizes, data):
    """Bodies end within a batch, and begin in the middle of another: slices, joins and choices in any order."""
    offsets = iter(range(100))
    records = join_records(
        [fetched([next(offsets) for _ in range(size)], FIRST if size % 2 else SECOND) for size in [0, *sizes]]
    )
    expected = list(records)
    for _ in range(3):
        start, stop = (data.draw(st.integers(0, len(expected))) for _ in range(2))
        chosen = sorted(data.draw(st.sets(st.sampled_from(range(len(expected)))))) if expected else []
        part = data.draw(st.sampled_from(("slice", "choice", "twice")))
        if part == "slice":
            records, expected = records[start:stop], expected[start:stop]
        elif part == "choice":
            records, expected = (
                select_records(records, chosen),
                [expected[index] for index in chosen],
            )
        else:
            records, expected = join_records([records, records]), expected * 2
        assert (len(records), list(records)) == (len(expected), expected)
        assert [records[index] for index in range(-len(expected), len(expected))] == expected * 2
        assert values_of(records) == [each.value for each in expected]
        assert value_sizes_of(records) == [len(each.value) for each in expected]
        assert offsets_of(records) == [each.offset for each in expected]


def test_a_small_part_of_a_batch_keeps_no_other_records_in_memory():
    """A body may wait for hours; all records of its batch would wait with it."""
    batch = [Parsed(offset) for offset in range(10)]
    records = FetchedRecords.of(batch, FIRST)
    last, whole = weakref.ref(batch[9]), records[:9]
    small = whole[2:4]
    del batch, records, whole
    gc.collect()
    assert last() is None
    assert offsets_of(small) == [2, 3]

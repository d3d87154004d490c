from dataclasses import dataclass

import pytest

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
    return FetchedRecords([Parsed(offset, b"%d" % offset) for offset in offsets], [tp] * len(offsets))


def test_a_record_is_made_when_it_is_asked_for():
    records = FetchedRecords([Parsed(7, headers=[("name", b"x")])], [SECOND])
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
    records = FetchedRecords([Parsed(1), Parsed(2, None, None, 9, 1)], [FIRST] * 2)
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
    assert have_headers(FetchedRecords([Parsed(1), Parsed(2, headers=[("a", b"")])], [FIRST] * 2))

"""The comparison of a partition with its copy: any change of a record is seen, and what retention took is counted."""

from dataclasses import replace

import pytest

from management.topic_digest import Digest
from relay.kafka.records import FetchedRecord


def record(offset, key, value):
    return FetchedRecord("t", 0, offset, 1_000 + offset, 0, key, value, (("h", b"x"),))


RECORDS = [record(0, b"a", b"1"), record(1, b"b", b"2"), record(2, b"a", b"3"), record(3, b"b", None)]
CHANGES = [
    {"key": b"c"},
    {"key": None},
    {"value": b"4"},
    {"value": b""},
    {"timestamp": 1},
    {"headers": ()},
    {"headers": (("h", b"y"),)},
    {"headers": (("hx", b""),)},
]


def digest(records, *, compacted=False):
    found = Digest(compacted)
    for each in records:
        found.add(each)
    return found


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_record_is_another_log(compacted, change):
    copy = [*RECORDS[:2], replace(RECORDS[2], **change), RECORDS[3]]

    assert digest(copy, compacted=compacted).missing_from(digest(RECORDS, compacted=compacted)) is None


@pytest.mark.parametrize(
    "copy", [RECORDS[:3], [RECORDS[1], RECORDS[0], *RECORDS[2:]], [*RECORDS, RECORDS[3]], [RECORDS[0], *RECORDS[2:]]]
)  # fmt: skip
def test_a_log_that_lacks_repeats_or_moves_a_record_is_another_one(copy):
    assert digest(copy).missing_from(digest(RECORDS)) is None


def test_what_retention_took_from_the_start_is_counted():
    assert [digest(RECORDS[n:]).missing_from(digest(RECORDS)) for n in range(5)] == [0, 1, 2, 3, 4]


def test_offsets_may_differ():
    assert (
        digest([replace(each, offset=each.offset + 7) for each in RECORDS]).missing_from(digest(RECORDS)) == 0
    )


def test_a_compacted_copy_holds_the_same_table():
    """Compaction removes older records of a key, and in the end what deleted a key."""
    assert digest(RECORDS[2:3], compacted=True).missing_from(digest(RECORDS, compacted=True)) == 0


def test_a_table_without_a_key_is_another_one():
    lacks = digest([RECORDS[3]], compacted=True)

    assert lacks.missing_from(digest(RECORDS, compacted=True)) is None

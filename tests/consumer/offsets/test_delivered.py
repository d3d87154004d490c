"""How far a group has got, as the metadata that Kafka keeps with its offset."""

import json
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.offsets.delivered import (
    MAX_DELIVERED_RANGES,
    DeliveredRange,
    DeliveryProgress,
    RecordFingerprint,
)

CHECKSUMS = st.integers(0, 2**32 - 1)
TIMES = st.integers(-1, 2**45)


@st.composite
def progresses(draw, lineage=None, max_ranges=6):
    offset = draw(st.integers(0, 60))
    back = draw(st.none() | st.integers(1, 5))
    last = RecordFingerprint(offset - back, draw(CHECKSUMS), draw(TIMES)) if back and back <= offset else None
    previous_stop, ranges = offset, []
    for gap, length in draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=max_ranges)):
        ranges.append(
            DeliveredRange(
                previous_stop + gap,
                RecordFingerprint(previous_stop + gap + length - 1, draw(CHECKSUMS), draw(TIMES)),
            )
        )
        previous_stop += gap + length
    drawn = draw(st.integers(0, 2**48 - 1)) if lineage is None else lineage
    return DeliveryProgress(drawn, offset, last, tuple(ranges), draw(st.none() | st.integers(0, 60)))


def delivered_offsets(progress, before=200):
    inside = {position for each in progress.delivered_ahead for position in range(each.first, each.stop)}
    return set(range(min(progress.offset, before))) | inside


def is_in_order(progress):
    bounds = [progress.offset] + [
        bound for each in progress.delivered_ahead for bound in (each.first, each.stop)
    ]
    return all(one < other for one, other in pairwise(bounds))


@given(progresses())
def test_committed_progress_is_read_back(progress):
    assert DeliveryProgress.from_offset_and_metadata(*progress.to_offset_and_metadata()) == progress


@given(st.text() | st.sampled_from(["", "null", "[]", "{}", "7", '{"relay":1}']), st.integers(0, 2**62))
def test_metadata_that_is_not_ours_starts_a_lineage_at_the_offset(text, offset):
    one, other = (DeliveryProgress.from_offset_and_metadata(offset, text) for _ in range(2))
    assert (one.offset, one.last, one.delivered_ahead) == (offset, None, ())
    assert one.lineage != other.lineage


ODD = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=5)
)
NUMBERS = st.integers(-3, 70) | st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63), 10**30])


@given(progresses(), st.data())
def test_corrupt_metadata_of_the_relay_gives_nothing_disorderly(progress, data):
    """The ranges read from any metadata are in order, do not touch, and can be committed again."""
    payload = orjson.loads(progress.to_offset_and_metadata().metadata)
    field = data.draw(st.sampled_from(["line", "last", "beyond"]))
    value = data.draw(ODD | NUMBERS)
    numbers = payload[field]
    if field == "line" or not numbers or data.draw(st.booleans()):
        payload[field] = value
    else:
        numbers[data.draw(st.integers(0, len(numbers) - 1))] = value

    read = DeliveryProgress.from_offset_and_metadata(progress.offset, json.dumps(payload))

    assert read.offset == progress.offset
    assert is_in_order(read)
    assert read.last is None or read.last.offset < read.offset
    assert DeliveryProgress.from_offset_and_metadata(*read.to_offset_and_metadata()) == read
    assert hash(read) == hash(DeliveryProgress.from_offset_and_metadata(*read.to_offset_and_metadata()))


@given(progresses(), st.integers(1, 1000))
def test_an_offset_that_was_moved_with_our_metadata_starts_a_lineage(progress, distance):
    """As a tool does that translates offsets to the topics of another cluster."""
    moved = DeliveryProgress.from_offset_and_metadata(
        progress.offset + distance, progress.to_offset_and_metadata().metadata
    )
    assert (moved.offset, moved.last, moved.delivered_ahead) == (progress.offset + distance, None, ())
    assert moved.lineage != progress.lineage


@given(progresses(lineage=1), progresses(lineage=1))
def test_merged_is_what_either_knows(one, other):
    merged = one.merged(other)
    assert delivered_offsets(merged) == delivered_offsets(one) | delivered_offsets(other)
    assert is_in_order(merged)
    assert merged.merged(one) == merged.merged(merged) == merged


@given(progresses(), st.integers(0, 120))
def test_a_deleted_record_is_lost_unless_it_was_delivered(progress, first):
    kept, lost = progress.without_deleted(first)
    assert lost == len(set(range(first)) - delivered_offsets(progress))
    assert delivered_offsets(kept) == delivered_offsets(progress) | set(range(first))
    assert is_in_order(kept)


@given(progresses(), st.integers(0, 8))
def test_with_fewer_ranges_less_is_known_and_nothing_else(progress, count):
    less = progress.with_first_ranges(count)
    assert delivered_offsets(less) <= delivered_offsets(progress)
    assert less.delivered_ahead == progress.delivered_ahead[:count]


def test_as_many_ranges_fit_with_an_offset_as_are_committed():
    """Kafka refuses more than 4096 characters; numbers as large as they become in years, with 20,000 records between."""
    position, ranges = 10**15, []
    for _ in range(MAX_DELIVERED_RANGES):
        ranges.append(
            DeliveredRange(position + 20_000, RecordFingerprint(position + 40_000, 2**32 - 1, 10**13 - 1))
        )
        position += 40_001
    last = RecordFingerprint(10**15 - 1, 2**32 - 1, 10**13 - 1)
    progress = DeliveryProgress(2**48 - 1, 10**15, last, tuple(ranges), 10**15, last)
    text = progress.to_offset_and_metadata().metadata
    assert len(text) < 4096


@pytest.mark.parametrize("ranges", [[0, 1, 5, 5], [1, 0, 5, 5], [1, 1, 5]])
def test_metadata_with_an_impossible_range_starts_a_lineage(ranges):
    """A range without a gap before it, without records, or cut short makes the whole metadata unusable."""
    payload = json.loads(DeliveryProgress(7, 10, None).to_offset_and_metadata().metadata)
    text = json.dumps(payload | {"beyond": ranges})
    read = DeliveryProgress.from_offset_and_metadata(10, text)
    assert (read.offset, read.last, read.delivered_ahead) == (10, None, ())
    assert read.lineage != 7


@pytest.mark.parametrize(
    ("metadata", "live_from"),
    [
        ('{"live":60}', 60),
        ('{"live":1.5}', None),
        ('{"live":60,"older":[1,2]}', None),
        ('{"relay":1,"at":7,"live":60}', None),
        ("[]", None),
        ("text of an operator", None),
    ],
)
def test_a_split_offset_is_read_from_metadata_of_the_relay_alone(metadata, live_from):
    """A long text that names another offset has it of another log: without the last older record the split offset is no use."""
    assert DeliveryProgress.from_offset_and_metadata(8, metadata).live_from == live_from

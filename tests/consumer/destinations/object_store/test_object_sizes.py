"""How many rows an object has after a store was slow, or hung."""

import polars as pl
import pytest

from consumer.destinations.object_store.layout import OFFSET
from consumer.destinations.object_store.object_size import ObjectSize
from consumer.destinations.object_store.writer import ChainWriter, Progress
from tests.support.metered_store import MeteredStore
from tests.support.parquet_objects import stored_uids
from tests.support.scripted_store import CHAIN, DAILY

ROWS = 300


def opened(*, quick_seconds=3600.0):
    store = MeteredStore()
    return store, ChainWriter(store, "lake", "memory://", DAILY, quick_seconds)


async def write(writer, offsets):
    events = pl.DataFrame({"uid": [f"acme/{offset}" for offset in offsets], OFFSET: list(offsets)})
    collected = pl.lit(0).cast(pl.Datetime("ms", "UTC"))
    progress = Progress()
    await writer.write(CHAIN, events.with_columns(collected=collected), progress)
    assert len(progress.places) == len(offsets)


def sizes(store):
    """Return the rows of each object, in the order of offsets."""
    return [len(stored_uids({key: store.objects[key]})) for key in sorted(store.objects)]


async def test_objects_grow_again_after_a_store_that_hung():
    """It answered nothing for so long that an object had one row: the backlog must not become an object for each row."""
    store, writer = opened()
    for _ in range(20):
        writer.size.record_late(ROWS)
    await write(writer, range(ROWS))
    assert sizes(store) == [1] * 4 + [2] * 4 + [4] * 4 + [8] * 4 + [16] * 4 + [32] * 4 + [48]


async def test_objects_stay_small_while_the_store_is_slow():
    store, writer = opened(quick_seconds=-1.0)
    writer.size.record_late(ROWS)
    writer.size.record_late(ROWS)
    await write(writer, range(ROWS))
    assert sizes(store) == [75] * 4


async def test_objects_have_a_size_long_after_a_slow_one():
    """A size that doubled with each body was no number for polars after 64 of them, and the destination stood still."""
    store, writer = opened()
    writer.size.record_late(2)
    for offset in range(80):
        await write(writer, [offset])
    assert sizes(store) == [1] * 80


@pytest.mark.parametrize("bodies", [0, 40])
async def test_a_slow_body_is_halved_at_once(bodies):
    """Also long after the last slow one, when objects may be larger than the body."""
    store, writer = opened()
    writer.size.record_late(ROWS)
    for number in range(bodies):
        await write(writer, range(number * ROWS, (number + 1) * ROWS))
    store.objects.clear()
    writer.size.record_late(4)
    await write(writer, range(100_000, 100_004))
    assert sizes(store) == [2, 2]


def test_a_size_that_is_too_large_again_is_tried_more_rarely():
    """A proxy that stops above a size costs a few attempts, not every third one."""
    size = ObjectSize(10.0)
    size.record_late(8)
    quick = []
    for _ in range(7):
        quick.append(0)
        while size.most_rows == 4:
            size.record_stored(4, 10.0)
            quick[-1] += 1
        size.record_late(8)
    assert quick == [4, 8, 16, 32, 64, 64, 64]


def test_only_quick_objects_of_the_full_size_count():
    size = ObjectSize(10.0)
    size.record_late(8)
    for rows, seconds in [(4, 10.0)] * 3 + [(3, 1.0)] * 9 + [(4, 10.5)] + [(4, 1.0)] * 3:
        size.record_stored(rows, seconds)
        assert size.most_rows == 4
    size.record_stored(4, 1.0)
    assert size.most_rows == 8

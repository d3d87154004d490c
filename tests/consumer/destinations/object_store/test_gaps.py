"""A row that lies within an object that lacks it is written: another filter, other routes, another log, a decoder that learned."""

import asyncio

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.destinations.object_store.layout import OFFSET, Layout
from consumer.destinations.object_store.names import Chain
from consumer.destinations.object_store.store import StoreFault
from consumer.destinations.object_store.writer import ChainWriter, Progress
from consumer.destinations.outcome import Sent
from tests.support.object_stores import body, opened, uids
from tests.support.parquet_objects import stored_uids
from tests.support.scripted_store import CHAIN, DAY_MS, ScriptedStore


def records(offsets, *, prefix="acme", day=20_000):
    return pl.DataFrame(
        {
            "uid": [f"{prefix}/{offset}" for offset in offsets],
            OFFSET: list(offsets),
            "collected": [(day + offset // 5) * DAY_MS for offset in offsets],
        }
    ).with_columns(pl.col("collected").cast(pl.Datetime("ms", "UTC")))


async def write(store, *bodies, chain=CHAIN, fates=lambda: "answered"):
    """Write bodies as a process that has just begun, each again until it is written."""
    writer = ChainWriter(store, "lake", "memory://", Layout("live"))

    async def run():
        for events in bodies:
            while True:
                try:
                    await writer.write(chain, events, Progress())
                except StoreFault as fault:
                    if fault.outcome.reason in ("lost answer", "no effect"):
                        continue
                    raise
                break

    task = asyncio.create_task(run())
    async with asyncio.timeout(120):
        while not task.done():
            while store.requests:
                store.requests.pop().arrive(fates())
            await asyncio.sleep(0.0005)  # Parquet is made in threads, which a busy loop would hold up
    await task


@pytest.mark.parametrize(
    ("first", "second"),
    [([100, 102, 104], [[101], [103]]), ([0, 2, 4, 6], [[1], [3, 5]]), ([100, 102], [[101]])],
    ids=["a mirror", "a topic made anew", "undecodable at first"],
)
async def test_a_row_in_a_gap_of_an_object_is_written(first, second):
    """It was delivered nowhere, however the offsets around it came into the object."""
    store = ScriptedStore()
    await write(store, records(first))
    await write(store, *map(records, second))
    await write(
        store, records([offset for part in second for offset in part])
    )  # again, with another boundary
    assert stored_uids(store.objects) == [f"acme/{each}" for each in sorted(sum(second, first))]


async def test_an_object_of_another_log_is_named_when_it_holds_another_event():
    store = ScriptedStore()
    await write(store, records([1, 3]))
    with pytest.raises(StoreFault, match="another event at offset 3"):
        await write(store, records([2, 3], prefix="other"))


async def test_the_rows_of_two_destinations_with_one_location_are_all_kept(tmp_path):
    """Two names, and another `where` each."""
    async with opened(f"file://{tmp_path}") as one, opened(f"file://{tmp_path}") as two:
        assert await one["live"].send(body(one["live"], range(0, 20, 2))) == Sent()
        assert await two["live"].send(body(two["live"], range(1, 20, 2))) == Sent()
    found = {str(path): path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert stored_uids(found) == uids(range(20))


async def test_rows_of_a_route_that_was_taken_away_are_written(tmp_path):
    """They had waited in a batch of their own, while the objects of all others went past them."""
    async with opened(f"file://{tmp_path}", by_organization={"acme.atlassian.net": "own"}) as flows:
        others = [offset for offset in range(50) if offset % 5]
        assert await flows["live"].send(body(flows["live"], others)) == Sent()
    async with opened(f"file://{tmp_path}") as flows:
        assert await flows["live"].send(body(flows["live"], range(60))) == Sent()
        (path,) = tmp_path.rglob("*-00000000000000000001-00000000000000000005.parquet")
    found = {str(path): path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert path.parent.parent.name == "live"
    assert stored_uids(found) == uids(range(60))


def test_names_in_gaps_are_of_one_chain_alone():
    chain = Chain("live", "events", 3)
    gaps = chain.in_gaps_of(7)
    assert gaps.name(9) == "events-00003-00000000000000000007-00000000000000000009.parquet"
    assert (chain.first_offset(gaps.name(9)), gaps.first_offset(gaps.name(9))) == (None, 9)
    assert gaps.in_gaps_of(9).name(10) < gaps.name(9) < chain.name(7)
    assert gaps.first_offset(gaps.in_gaps_of(9).name(10)) is None


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_each_row_of_each_filter_is_in_exactly_one_object(data):
    """Processes follow each other, each with another filter; they begin anywhere, answers are lost, and boundaries differ."""
    store, written = ScriptedStore(), set()
    for number in range(data.draw(st.integers(2, 3), label="processes")):
        passes = data.draw(st.sets(st.integers(0, 12), min_size=1), label=f"filter {number}")
        log, bodies = records(sorted(passes)), []
        while log.height:
            count = data.draw(st.integers(3, 13), label="rows")
            bodies.append(log.head(count))
            log = log.slice(count)
        bodies = bodies[: data.draw(st.integers(1, len(bodies)), label="bodies before it dies")]
        fates = st.sampled_from(("answered", "answered", "answered", "lost answer", "no effect"))
        asyncio.run(write(store, *bodies, fates=lambda fates=fates: data.draw(fates)))
        written.update(uid for events in bodies for uid in events["uid"])
        assert sorted(stored_uids(store.objects)) == sorted(written)

"""Each event is in exactly one object, in every history of deaths, zombies, lost answers and other boundaries."""

import asyncio

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.destinations.object_store.layout import OFFSET
from tests.support.parquet_objects import stored_uids
from tests.support.scripted_store import DAILY, DAY_MS, EVENT_DAYS, Partition, ScriptedStore, own

FATES = ("answered", "answered", "lost answer", "no effect")
MOST_STEPS = 60


@st.composite
def logs(draw):
    """Up to 14 records with gaps between offsets, collected in order over up to three days, and of any of three days."""
    steps = draw(st.lists(st.integers(1, 3), min_size=1, max_size=14))
    days = sorted(draw(st.lists(st.integers(20_000, 20_002), min_size=len(steps), max_size=len(steps))))
    created = draw(st.lists(st.integers(20_000, 20_002), min_size=len(steps), max_size=len(steps)))
    offsets = [sum(steps[: index + 1]) for index in range(len(steps))]
    return pl.DataFrame(
        {
            "uid": [f"acme/{offset}" for offset in offsets],
            OFFSET: offsets,
            "collected": days,
            "created": created,
        },
        schema={"uid": pl.String, OFFSET: pl.Int64, "collected": pl.Int64, "created": pl.Int64},
    ).with_columns((pl.col("collected", "created") * DAY_MS).cast(pl.Datetime("ms", "UTC")))


async def settled(store, tasks):
    """Wait until every living owner waits for the store or has ended."""
    turns = 0
    async with asyncio.timeout(120):
        while sum(not task.done() for task in tasks) > sum(
            not request.answer.done() for request in store.requests
        ):
            turns += 1
            await asyncio.sleep(
                0 if turns < 20 else 0.0005
            )  # Parquet is made in threads, which a busy loop holds up


async def play(log, layout, data):
    """Draw a history: which request arrives next, what becomes of its answer, and when another owner takes over."""
    store, tasks = ScriptedStore(), []
    partition = Partition(log, layout=layout, sends_rest=data.draw(st.booleans(), label="sends the rest"))
    await deliver_with_gaps(store, partition, data)
    size = data.draw(st.integers(1, 6), label="largest body")

    def take_over():
        partition.owner += 1
        sizes = iter(lambda: data.draw(st.integers(1, size), label="rows"), None)
        tasks.append(asyncio.create_task(own(partition, store, partition.owner, lambda: next(sizes))))

    take_over()
    for _ in range(MOST_STEPS):
        await settled(store, tasks)
        if tasks[-1].done() or not store.requests:
            break
        event = data.draw(
            st.sampled_from(("arrives", "arrives", "arrives", "dies", "freezes")), label="event"
        )
        if event != "arrives" and len(tasks) < 4:
            if event == "dies":
                tasks[-1].cancel()  # the request that is under way may still arrive
                await asyncio.sleep(0)
            take_over()
            continue
        index = data.draw(st.integers(0, len(store.requests) - 1), label="request")
        store.requests.pop(index).arrive(data.draw(st.sampled_from(FATES), label="fate"))
    await run_out(store, tasks)
    return store


async def deliver_with_gaps(store, partition, data):
    """Deliver what another filter let through, before the history begins: nothing is committed."""
    left_out = data.draw(st.sampled_from((None, 2, 2, 3, 4)), label="one of so many rows is left out")
    if left_out is not None:
        let_through = partition.log.with_row_index().filter(pl.col("index") % left_out != 1).drop("index")
        sizes = data.draw(st.lists(st.integers(3, 6), max_size=2))
        await deliver(store, let_through, sizes=sizes, layout=partition.layout)


async def run_out(store, tasks):
    """Let the present owner end first, then the zombies and the requests of the dead."""
    while True:
        await settled(store, tasks)
        if not store.requests:
            break
        store.requests.pop().arrive("answered")
    for task in tasks:
        if not task.cancelled():
            await task


@pytest.mark.parametrize("layout", [DAILY, EVENT_DAYS], ids=["daily", "days of events"])
@settings(max_examples=40, deadline=None)
@given(log=logs(), data=st.data())
def test_each_event_is_in_exactly_one_object(layout, log, data):
    """Owners die at any request or freeze and go on, answers are lost, requests arrive late, and boundaries differ.

    Objects of another filter may be there already, with gaps. A body may become an object for each day of its events.
    """
    store = asyncio.run(play(log, layout, data))
    assert stored_uids(store.objects) == log["uid"].to_list()
    days = {f"eventDay={day:%Y%m%d}" for day in log["created"]}
    assert layout is DAILY or {key.split("/")[2] for key in store.objects} == days


def records(*offsets, day=20_000):
    return pl.DataFrame(
        {
            "uid": [f"acme/{offset}" for offset in offsets],
            OFFSET: list(offsets),
            "collected": [day * DAY_MS] * len(offsets),
        }
    ).with_columns(pl.col("collected").cast(pl.Datetime("ms", "UTC")))


async def deliver(store, log, *, committed=0, sizes, layout=DAILY):
    """Deliver a log without a fault, from a committed offset on."""
    counts = iter(sizes)
    partition = Partition(log, committed, 1, layout)
    task = asyncio.create_task(own(partition, store, 1, lambda: next(counts, 100)))
    await run_out(store, [task])


@pytest.mark.parametrize("committed", [1, 3, 5])
async def test_an_owner_that_begins_within_an_object_goes_on_behind_it(committed):
    """A predecessor committed a part of an object that it found, and died: no row of the object is written again."""
    store, log = ScriptedStore(), records(1, 2, 3, 4, 5, 6, 7)
    await deliver(store, log.head(5), sizes=[5])
    await deliver(store, log, committed=committed, sizes=[1])
    assert stored_uids(store.objects) == [f"acme/{number}" for number in range(1, 8)]
    assert len(store.objects) == 2


async def test_rows_end_before_an_object_that_begins_among_them():
    """An operator moved the offset forth and back: the rows between are written, and those behind are not repeated."""
    store, log = ScriptedStore(), records(1, 2, 3, 4, 5)
    await deliver(store, log, committed=4, sizes=[2])
    await deliver(store, log, sizes=[5])
    assert stored_uids(store.objects) == [f"acme/{number}" for number in range(1, 6)]


async def test_an_object_holds_rows_of_one_day():
    """A reader that selects a day reads all of it, and nothing else."""
    store = ScriptedStore()
    log = pl.concat([records(1, 2, day=20_000), records(3, day=20_001)])
    await deliver(store, log, sizes=[3])
    assert list(store.objects) == [
        "live/day=2024-10-04/events-00000-00000000000000000001.parquet",
        "live/day=2024-10-05/events-00000-00000000000000000003.parquet",
    ]


async def test_a_body_becomes_an_object_for_each_day_of_its_events():
    """The day of the first row is written first; a successor that finds a part of the objects adds the others alone."""
    log = pl.concat([records(1, 3, day=20_001), records(2, day=20_000), records(4, day=20_002)]).sort(OFFSET)
    log = log.rename({"collected": "created"})
    store = ScriptedStore()
    await deliver(store, log, sizes=[4], layout=EVENT_DAYS)
    folder = "region=eu-west-1/accountId=external"
    names = {
        "eventDay=20241005": "events-00000-00000000000000000001.parquet",
        "eventDay=20241004": "events-00000-00000000000000000002.parquet",
        "eventDay=20241006": "events-00000-00000000000000000004.parquet",
    }
    assert list(store.objects) == [f"{folder}/{day}/{name}" for day, name in names.items()]
    whole = dict(store.objects)
    del store.objects[f"{folder}/eventDay=20241006/events-00000-00000000000000000004.parquet"]
    await deliver(store, log, sizes=[3, 1], layout=EVENT_DAYS)
    assert store.objects == whole

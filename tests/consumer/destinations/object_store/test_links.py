"""The footer of an object names the one before it, so that a reader finds out which objects were deleted."""

import io

import polars as pl
import pytest

from consumer.destinations.object_store.links import Links
from consumer.destinations.object_store.names import Chain
from consumer.destinations.object_store.store import StoreFault
from consumer.destinations.outcome import Retry
from relay.kafka import TopicPartition
from tests.support.archives import PARTITION, flows_over, some, write
from tests.support.metered_store import UNLIMITED, MeteredStore
from tests.support.object_stores import NOON

DAY_MS = 86_400_000
LIVE = Chain("live", *PARTITION)
OTHER_PARTITION = TopicPartition("jira-audit.events", 4)


def links(store):
    """Return the object before each one, by the first offsets of both; None: it names none."""
    found = {}
    for key, content in store.objects.items():
        if key.endswith(".parquet"):
            previous = pl.read_parquet_metadata(io.BytesIO(content))["relay.previous"]
            assert not previous or f"{key.partition('/')[0]}/{previous}" in store.objects
            found[_first(key)] = _first(previous) if previous else None
    return found


def _first(key):
    return int(key.removesuffix(".parquet").rpartition("-")[2])


async def deliver(flows, first, day=0, **options):
    await write(flows["live"], some(range(first, first + 5), collected=NOON + day * DAY_MS), **options)


async def test_an_object_names_the_one_before_it_in_its_chain():
    """Over midnight too, and each route for itself."""
    store = MeteredStore()
    flows = flows_over(store)
    await deliver(flows, 10)
    await deliver(flows, 15)
    await deliver(flows, 20, route="organization=acme")
    await deliver(flows, 25, day=3)
    await write(flows["history"], some(range(30, 35)))
    assert {first: before for first, before in links(store).items() if before} == {15: 10, 25: 15}


@pytest.mark.parametrize("days", [0, 1, 5])
async def test_a_new_process_finds_the_object_before_its_first_one(days):
    """Other partitions have objects on the days between."""
    store = MeteredStore()
    await deliver(flows_over(store), 10)
    await deliver(flows_over(store), 15)
    for day in range(1, days):
        await deliver(flows_over(store), 1_000, day, partition=OTHER_PARTITION)
    await deliver(flows_over(store), 20, days)
    assert links(store)[20] == 15


async def test_after_a_silence_of_many_days_an_object_names_no_other():
    """A search has an end: each day is a request."""
    store = MeteredStore()
    await deliver(flows_over(store), 10)
    for day in range(1, 12):
        await deliver(flows_over(store), 1_000, day, partition=OTHER_PARTITION)
    flows = flows_over(store)
    await flows["live"].probe()
    store.calls = UNLIMITED
    await deliver(flows, 20, 12)
    assert links(store)[20] is None
    assert UNLIMITED - store.calls <= 11


async def test_a_search_is_repeated_after_a_fault_and_its_result_is_kept():
    store = MeteredStore()
    await deliver(flows_over(store), 10)
    found = Links(store)
    store.calls, store.fault = 1, Retry("away")
    with pytest.raises(StoreFault):
        await found.before(LIVE, 21_000, None)
    store.calls = UNLIMITED
    assert (
        await found.before(LIVE, 21_000, None)
        == "day=2025-11-22/jira-audit.events-00003-00000000000000000010.parquet"
    )
    store.calls = 0
    assert await found.before(LIVE, 21_000, None)


async def test_an_object_whose_predecessor_was_deleted_before_it_was_written_names_the_one_that_is_left():
    """An operator may thin out an archive; what is gone before a link was made is no gap of the relay's."""
    store = MeteredStore()
    await deliver(flows_over(store), 10)
    await deliver(flows_over(store), 15)
    (gone,) = (key for key in store.objects if key.endswith("15.parquet"))
    del store.objects[gone]
    await deliver(flows_over(store), 20)
    assert links(store)[20] == 10

"""An archive in each store: what is listed and read, beside a writer, replays and other data."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from consumer.replay.archive_objects import ArchiveUnavailableError
from simulators import faults
from simulators.object_store.azure_blob import azure_container, sas_token
from simulators.object_store.gcs import gcs_bucket, service_account
from simulators.object_store.s3 import credential, s3_bucket
from tests.support.archives import (
    PARTITION,
    archive,
    archive_over,
    flows_over,
    lake,
    missing_of,
    offsets_of,
    read,
    some,
    write,
)
from tests.support.metered_store import MeteredStore
from tests.support.object_stores import NOON, opened

DAY_MS = 86_400_000
STORES = {
    "s3": (s3_bucket, credential, "s3://audit/jira", {"region": "eu-west-1"}),
    "azure": (azure_container, sas_token, "az://acmeaudit/audit/jira", {}),
    "gcs": (gcs_bucket, service_account, "gs://audit/jira", {}),
}


@asynccontextmanager
async def bucket_of(store, directory):
    """Yield a simulated bucket, and the location and options of an archive in it."""
    make, secret, location, options = STORES[store]
    async with make() as bucket:
        (directory / "credential").write_text(secret(bucket))
        yield (
            bucket,
            location,
            options | {"endpoint": bucket.endpoint, "credential_file": directory / "credential"},
        )


@pytest.mark.parametrize("store", STORES)
async def test_a_bucket_of_each_cloud_gives_back_what_it_was_given(store, tmp_path):
    """Routes too, also one that the settings have no longer; checks, replays and other data are passed over."""
    async with bucket_of(store, tmp_path) as (bucket, location, options):
        routes = {"acme.atlassian.net": "organization=acme"}
        async with opened(location, by_organization=routes, **options) as flows:
            await flows["live"].probe()
            await write(flows["history"], some(range(10, 14)))
            await write(flows["live"], some(range(14, 30, 2)))
            await write(flows["live"], some(range(15, 30, 2)), route="organization=acme")
            await write(flows["live"], some(range(30, 34), collected=NOON + 3 * DAY_MS))
        (key,) = (key for key in bucket.objects if key.endswith("-00000000000000000014.parquet"))
        for other in ("replay=x/day=2025-11-22/", "notes/", "live/day=2025-02-31/", "live/other/"):
            bucket.objects[f"jira/{other}{key.rpartition('/')[2]}"] = b"not read"
        async with archive(lake(location, **options), 40) as reader:
            chunks = await read(reader, 12, 34)
            assert (offsets_of(chunks), missing_of(chunks)) == (list(range(12, 34)), [])
            assert (await reader.plan.spans([PARTITION]))[PARTITION].last == 33


@pytest.mark.parametrize("store", STORES)
async def test_a_fault_of_the_store_is_another_attempt(store, tmp_path):
    async with bucket_of(store, tmp_path) as (bucket, location, options):
        async with opened(location, **options) as flows:
            await write(flows["live"], some(range(10, 20)))
        async with archive(lake(location, **options), 40) as reader:
            fault = bucket.fault(faults.respond_with(503, "<Code>SlowDown</Code>"), rate=1)
            with pytest.raises(ArchiveUnavailableError, match="The archive lake cannot be read"):
                await read(reader, 10, 20)
            fault.cancel()
            assert offsets_of(await read(reader, 10, 20)) == list(range(10, 20))


async def test_objects_that_a_writer_adds_meanwhile_change_nothing():
    """They are behind the commit that the range ends at, or the next reading finds them."""
    store, seen = MeteredStore(), []
    live = flows_over(store)["live"]
    await write(live, some(range(10, 20)))
    await write(live, some(range(20, 30)))
    async for chunk in archive_over(store, 30).records(PARTITION, 10, 30):
        if not seen:
            await write(live, some(range(30, 40)))
            await write(live, some(range(40, 50), collected=NOON + DAY_MS))
        seen.append(chunk)
    assert (offsets_of(seen), missing_of(seen)) == (list(range(10, 30)), [])
    assert offsets_of(await read(archive_over(store, 50), 25, 50)) == list(range(25, 50))


async def test_objects_that_other_settings_have_left_gaps_in_are_read_with_those_gaps():
    """A row that an object lacks is in an object of its own."""
    store = MeteredStore()
    await write(flows_over(store)["live"], some(range(10, 40, 2)))
    await write(flows_over(store)["live"], some(range(10, 45)))
    assert len(store.objects) > 2
    chunks = await read(archive_over(store, 45), 10, 45)
    assert (offsets_of(chunks), missing_of(chunks)) == (list(range(10, 45)), [])


async def test_a_large_object_is_decoded_in_slices_and_yielded_in_chunks():
    """Two routes of 25,000 events each, whose objects overlap from end to end."""
    store = MeteredStore()
    live = flows_over(store)["live"]
    await write(live, some(range(0, 50_000, 2)))
    await write(live, some(range(1, 50_000, 2)), route="organization=acme")
    chunks = await read(archive_over(store, 50_000), 100, 50_000)
    assert offsets_of(chunks) == list(range(100, 50_000))
    sizes = [sum(len(record.value) for record in chunk.records) for chunk in chunks]
    assert max(sizes) <= 1_000_000


async def test_only_the_days_and_objects_of_a_range_are_read():
    """A day outside is not listed, and an object outside is not opened."""
    store = MeteredStore()
    live = flows_over(store)["live"]
    for day in range(10):
        for first in (100 * day, 100 * day + 50):
            await write(live, some(range(first, first + 50), collected=NOON + day * DAY_MS))
    day = NOON // DAY_MS
    reader = archive_over(store, 1_000, days=(day + 4, day + 6))
    store.calls = 1_000
    chunks = await read(reader, 420, 440)
    assert (offsets_of(chunks), missing_of(chunks)) == (list(range(420, 440)), [])
    # two folders above the days, two days, the object, the one before it, and the footer of the one behind it
    assert 1_000 - store.calls <= 8


async def test_a_reading_that_is_given_up_leaves_nothing_behind():
    store = MeteredStore()
    live = flows_over(store)["live"]
    for first in range(0, 100, 10):
        await write(live, some(range(first, first + 10)))
    before = asyncio.all_tasks()
    reading = archive_over(store, 100).records(PARTITION, 0, 100)
    await anext(reading)
    await reading.aclose()
    assert asyncio.all_tasks() <= before


async def test_an_event_in_two_objects_is_given_once():
    """An operator had set a group back, so that live and history both have it."""
    store = MeteredStore()
    flows = flows_over(store)
    await write(flows["history"], some(range(10, 25)))
    await write(flows["live"], some(range(20, 40)))
    chunks = await read(archive_over(store, 40), 10, 40)
    assert (offsets_of(chunks), missing_of(chunks)) == (list(range(10, 40)), [])


async def test_the_last_object_of_a_day_that_has_expired_is_no_gap():
    """The first event of a route comes after the first of the archive; the one before it was of an expired day."""
    store = MeteredStore()
    live = flows_over(store)["live"]
    for day, first in enumerate((10, 30)):
        times = {"collected": NOON + day * DAY_MS}
        await write(live, some(range(first, first + 15), **times))
        await write(live, some(range(first + 15, first + 20), **times), route="organization=acme")
    for key in [key for key in store.objects if "day=2025-11-22" in key]:
        del store.objects[key]
    assert missing_of(await read(archive_over(store, 50), 30, 50)) == []

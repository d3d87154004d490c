"""Reading back an object store: the events in its objects."""

import pytest

from consumer.destinations.object_store import OBJECT_STORE
from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.outcome import Sent
from consumer.destinations.read_back import AcceptedEvents, EventPlace, ReadBackError
from relay.timestamps import DAY_MS
from tests.support.object_stores import NOON, body, opened, uids

DAY = NOON - NOON % DAY_MS
REPLAY = "20261130-071500-ab12"


async def send(root, flow, *numbers, **options):
    settings = {
        "by_organization": options.pop("by_organization", {}),
        "format": options.pop("format", "native"),
    }
    async with opened(f"file://{root}", **settings) as flows:
        assert await flows[flow].send(body(flows[flow], numbers, **options)) == Sent()


async def missing(root, numbers, **settings):
    config = ObjectStoreConfig(kind="object-store", location=f"file://{root}", read_back=True, **settings)
    places = {
        uid: EventPlace("events", 0, n, NOON + n) for uid, n in zip(uids(numbers), numbers, strict=True)
    }
    async with OBJECT_STORE.read_back("lake", config) as reader:
        return await reader.missing(AcceptedEvents("acme.atlassian.net", DAY, DAY + DAY_MS, places))


def delete(root, first):
    (found,) = [
        each for each in root.rglob("*.parquet") if f"{first:020d}" in each.name and "live" in str(each)
    ]
    found.unlink()


@pytest.mark.parametrize("format_", ["native", "ocsf"])
async def test_events_of_a_deleted_object_are_named_until_a_replay_has_sent_them(tmp_path, format_):
    """Objects of live and of history count, those of a replay, and those of one that was sent to live."""
    await send(tmp_path, "live", 1, 2, 3, format=format_)
    await send(tmp_path, "live", 7, 8, format=format_)
    assert await missing(tmp_path, [1, 2, 3, 7, 8], format=format_) == set()
    delete(tmp_path, 7)
    assert await missing(tmp_path, [1, 2, 3, 7, 8], format=format_) == set(uids([7, 8]))
    await send(tmp_path, "history", 7, replay=REPLAY, format=format_)
    assert await missing(tmp_path, [1, 2, 3, 7, 8], format=format_) == set(uids([8]))
    await send(tmp_path, "live", 8, replay=REPLAY, format=format_)
    assert await missing(tmp_path, [1, 2, 3, 7, 8, 9], format=format_) == set(uids([9]))


async def test_an_organization_with_a_prefix_of_its_own_is_found_there(tmp_path):
    own = {"acme.atlassian.net": "organization=acme"}
    await send(tmp_path, "live", 1, 2, by_organization=own, route="organization=acme")
    await send(tmp_path, "history", 3, by_organization=own, route="organization=acme", replay=REPLAY)
    assert await missing(tmp_path, [1, 2, 3, 4], by_organization=own) == set(uids([4]))


async def test_an_object_that_cannot_be_read_proves_no_loss(tmp_path):
    await send(tmp_path, "live", 1, 2)
    (found,) = tmp_path.rglob("*.parquet")
    found.write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(ReadBackError, match="cannot be read"):
        await missing(tmp_path, [1, 2])


def test_the_layout_of_security_lake_is_refused():
    with pytest.raises(ValueError, match="layout daily"):
        ObjectStoreConfig(
            kind="object-store",
            location="s3://lake/ext/jira",
            layout="security-lake",
            format="ocsf",
            region="eu-central-1",
            read_back=True,
        )

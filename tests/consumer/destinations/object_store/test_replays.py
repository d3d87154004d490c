"""Objects of a replay: in a folder of the job, exactly once within it, and never in the way of live events and history."""

import io
import re
from pathlib import Path

import duckdb
import polars as pl
import pytest

from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.object_store.layout import flow_layouts
from consumer.destinations.outcome import Retry, Sent
from tests.support.messages import event
from tests.support.object_stores import NOON, body, body_of_events, opened, uids
from tests.support.parquet_objects import stored_rows, stored_uids

ID, ANOTHER = "20261130-071500-ab12", "20261130-071500-cd34"
LAKE = {"format": "ocsf", "layout": "security-lake", "region": "eu-central-1", "history_account_id": "external_old"}  # fmt: skip
PAGE = Path(__file__).parents[4] / "docs/destinations/object-store.md"


def objects(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.parquet")}


async def send(root, flow, *bodies, **settings):
    """Send bodies, each the offsets and the replay of its events, as a process that has just begun."""
    async with opened(f"file://{root}", **settings) as flows:
        for offsets, replay in bodies:
            assert await flows[flow].send(body(flows[flow], offsets, replay=replay)) == Sent()


async def test_a_replay_has_a_folder_of_its_own(tmp_path):
    """Beside those of live events and of history, which hold the same offsets."""
    await send(tmp_path, "live", (range(1, 5), None))
    await send(tmp_path, "history", (range(1, 5), None), (range(1, 5), ID), (range(1, 5), ANOTHER))
    await send(tmp_path, "history", (range(6, 8), None))
    assert sorted(objects(tmp_path)) == [
        "history/day=2025-11-22/events-00000-00000000000000000001.parquet",
        "history/day=2025-11-22/events-00000-00000000000000000006.parquet",
        "live/day=2025-11-22/events-00000-00000000000000000001.parquet",
        f"replay={ID}/day=2025-11-22/events-00000-00000000000000000001.parquet",
        f"replay={ANOTHER}/day=2025-11-22/events-00000-00000000000000000001.parquet",
    ]
    rows = stored_rows(objects(tmp_path), f"replay={ID}/")
    assert [(row["uid"], row["mode"], row["replay_id"]) for row in rows] == [
        (uid, "replay", ID) for uid in uids(range(1, 5))
    ]


@pytest.mark.parametrize("settings", [{}, LAKE], ids=["daily", "security-lake"])
@pytest.mark.parametrize("again", [range(1, 9), range(3, 6), range(4, 13), range(8, 13)], ids=str)
async def test_a_row_is_in_one_object_of_its_job(settings, again, tmp_path):
    """Another owner of the job begins before, at or behind the place where the first one died, with bodies of other sizes."""
    await send(tmp_path, "history", (range(1, 9), ID), **settings)
    await send(tmp_path, "history", (again, ID), (range(1, 16), ID), **settings)
    assert sorted(uids_of(tmp_path)) == sorted(uids(range(1, 16)))


def uids_of(root):
    """The uid of each row of either format."""
    tables = [pl.read_parquet(io.BytesIO(content)) for content in objects(root).values()]
    return [
        uid
        for each in tables
        for uid in (each["uid"] if "uid" in each.columns else each["metadata"].struct.field("uid")).to_list()
    ]


async def test_jobs_whose_bodies_alternate_keep_their_places(tmp_path):
    """One process runs several jobs, and history beside them."""
    jobs = (ID, None, ANOTHER)
    steps = [range(first, first + 3) for first in range(1, 30, 3)]
    await send(tmp_path, "history", *((offsets, job) for offsets in steps for job in jobs))
    for folder in (f"replay={ID}", f"replay={ANOTHER}", "history"):
        assert stored_uids(objects(tmp_path), f"{folder}/") == uids(range(1, 31))


async def test_an_organization_with_a_prefix_has_its_replays_there(tmp_path):
    """Its rights and its retention hold for them."""
    async with opened(f"file://{tmp_path}", by_organization={"a.example": "organization=a"}) as flows:
        made = body(flows["history"], [1], replay=ID, route="organization=a", organization="a.example")
        assert await flows["history"].send(made) == Sent()
    assert list(objects(tmp_path)) == [
        f"organization=a/replay={ID}/day=2025-11-22/events-00000-00000000000000000001.parquet"
    ]


async def test_a_replay_to_live_is_beside_the_live_objects(tmp_path):
    """Readers of the live folder see it. Live objects of the same offsets, written before or afterwards, stay as they are."""
    await send(tmp_path, "live", (range(1, 5), None), (range(1, 9), ID), (range(5, 13), None))
    await send(tmp_path, "live", (range(3, 9), ID), (range(11, 15), None))
    names = {key.rpartition("/")[2] for key in objects(tmp_path)}
    assert {key.rpartition("/")[0] for key in objects(tmp_path)} == {"live/day=2025-11-22"}
    of_job = {key: each for key, each in objects(tmp_path).items() if f"replay={ID}-" in key}
    assert stored_uids(of_job) == uids(range(1, 9))
    live = {key: each for key, each in objects(tmp_path).items() if key not in of_job}
    assert stored_uids(live) == uids(range(1, 15))
    assert f"replay={ID}-events-00000-00000000000000000001.parquet" in names


async def test_security_lake_has_a_replay_in_its_own_folders(tmp_path):
    """Its crawler allows no others. The id is in the names, and history of the same offsets stays as it is."""
    async with opened(f"file://{tmp_path}", **LAKE) as flows:
        for offsets, replay in (([1, 2], None), ([1, 2], ID), ([3], None)):
            events = [event(offset, created=NOON) for offset in offsets]
            made = body_of_events(flows["history"], events, offsets, replay=replay)
            assert await flows["history"].send(made) == Sent()
    folder = "region=eu-central-1/accountId=external_old/eventDay=20251122"
    assert sorted(objects(tmp_path)) == [
        f"{folder}/events-00000-00000000000000000001.parquet",
        f"{folder}/events-00000-00000000000000000003.parquet",
        f"{folder}/replay={ID}-events-00000-00000000000000000001.parquet",
    ]


@pytest.mark.parametrize("replay", ["../live", "a/b", "", "a=b", "x" * 65])
async def test_an_id_that_is_no_part_of_a_name_writes_nothing(replay, tmp_path):
    """The job comes from Kafka, where somebody else may have written it."""
    async with opened(f"file://{tmp_path}") as flows:
        outcome = await flows["history"].send(body(flows["history"], [1], replay=replay))
    assert isinstance(outcome, Retry)
    assert "cannot be a part of a name" in outcome.reason
    assert objects(tmp_path) == {}


def test_no_object_of_a_replay_belongs_to_a_chain_of_events():
    """A reader that looks for the objects of a partition, such as the archive of a replay, passes by those of replays."""
    for layout in flow_layouts(ObjectStoreConfig(kind="object-store", location="file:///x")).values():
        chain, replay = (layout.chain(None, "events", 0, each) for each in (None, ID))
        assert chain.folder != replay.folder or chain.first_offset(replay.name(1)) is None
        assert replay.first_offset(replay.name(1)) == 1


def page_queries(root):
    """The queries of the page for DuckDB, with a directory in place of the bucket."""
    blocks = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    found = [block.replace("s3://acme-audit/jira", str(root)) for block in blocks if "read_parquet" in block]
    return [each.strip().rstrip(";") for each in found]


async def test_the_queries_of_the_page_tell_replays_from_events(tmp_path):
    """Objects of older versions lack the column of the replay; one query reads all of them, and finds each event once."""
    await send(tmp_path, "live", (range(1, 5), None), (range(3, 5), ANOTHER))
    await send(tmp_path, "history", (range(5, 9), None), (range(1, 9), ID))
    (first, *_) = sorted(tmp_path.rglob("live/**/*.parquet"))
    footer = {key: value for key, value in pl.read_parquet_metadata(first).items() if key != "ARROW:schema"}
    pl.read_parquet(first).drop("replay_id").write_parquet(first, metadata=footer)
    found = [duckdb.sql(query).fetchall() for query in page_queries(tmp_path)]
    assert len(found) == 4
    _, repeats, of_job, each_once = found
    assert of_job == [(ID, 8), (ANOTHER, 2)]
    assert sorted(row[0] for row in each_once) == uids(range(1, 9))
    assert repeats == []

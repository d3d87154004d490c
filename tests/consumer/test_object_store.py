"""Processes between a real Kafka and a directory: each event is in exactly one object, after kills too."""

import asyncio

from management.settings import Settings
from tests.support.parquet_objects import stored_rows
from tests.support.pipeline_world import pipeline_world, some_events, uid, wait_until


def objects(directory, flow):
    return {str(path): path.read_bytes() for path in (directory / flow).rglob("*.parquet")}


def stored(directory, flow="live"):
    return [row["uid"] for row in stored_rows(objects(directory, flow))]


def settings_for(directory, kafka):
    lake = {
        "kind": "object-store",
        "location": f"file://{directory}",
        "window_seconds": 1,
        "by_organization": {"org1.atlassian.net": "organization=org1"},
    }
    return Settings.model_validate(
        {"kafka": kafka, "consumer": {"start": "earliest"}, "destinations": {"lake": lake}}
    )


async def test_each_event_is_in_exactly_one_object_after_kills(kafka, prefix, monkeypatch, tmp_path):
    """A process is killed while it writes; the next one goes on behind its objects."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        monkeypatch.setattr(
            world, "settings", lambda **_: settings_for(tmp_path, world.connection.kafka), raising=False
        )
        history = some_events(120, first=5000, mode="backfill")
        await world.publish(history, world.topics.backfill)
        for _ in range(1):
            before = len(stored(tmp_path))
            process = await world.start_process()
            try:
                first = len(world.published)
                await world.publish(some_events(300, first=first))
                await wait_until(lambda before=before: len(stored(tmp_path)) > before)
                await world.publish(some_events(300, first=first + 300))
                await asyncio.sleep(0.7)  # within a window
            finally:
                process.kill()
                await process.wait()
        async with world.consuming():
            await wait_until(
                lambda: (
                    len(stored(tmp_path)) + len(stored(tmp_path, "organization=org1/live"))
                    >= len(world.published)
                )
            )
            await wait_until(
                lambda: (
                    len(stored(tmp_path, "history")) + len(stored(tmp_path, "organization=org1/history"))
                    >= 120
                )
            )
        found = stored(tmp_path) + stored(tmp_path, "organization=org1/live")
        assert sorted(found) == sorted(map(uid, world.published))
        old = stored(tmp_path, "history") + stored(tmp_path, "organization=org1/history")
        assert sorted(old) == sorted(map(uid, history))
        assert {each.partition("/")[0] for each in stored(tmp_path, "organization=org1/live")} == {
            "org1.atlassian.net"
        }

"""The flows of an object store in tests, and bodies with offsets of a partition."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from consumer.decoding.columns import decode
from consumer.destinations.contract import Body, Destination, Flow, OffsetRange
from consumer.destinations.object_store import OBJECT_STORE
from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.formats.replay_mark import mark_replayed
from simulators.object_store.bucket import Bucket
from simulators.object_store.s3 import credential, s3_bucket
from tests.support.messages import WRITER_SCHEMAS, event, message

NOON = 1_763_812_800_000
"""2025-11-22, 12:00 UTC: objects end at midnight."""


@asynccontextmanager
async def opened(
    url: str, timeout_seconds: float = 20.0, **settings: Any
) -> AsyncIterator[Mapping[Flow, Any]]:
    """Open the flows of the destination `lake`."""
    config = ObjectStoreConfig(kind="object-store", location=url, **settings)
    async with OBJECT_STORE.open("lake", config, timeout_seconds) as flows:
        yield flows


@asynccontextmanager
async def bucket_flows(directory: Path, **settings: Any) -> AsyncIterator[tuple[Bucket, Mapping[Flow, Any]]]:
    """Open the flows of a simulated bucket; its credential is the file `credential` of the directory."""
    async with s3_bucket() as bucket:
        file = directory / "credential"
        file.write_text(credential(bucket))
        options: dict[str, Any] = {
            "endpoint": bucket.endpoint,
            "region": "eu-west-1",
            "credential_file": file,
        }
        async with opened(f"s3://{bucket.name}/jira", **options | settings) as flows:
            yield bucket, flows


def body(
    destination: Destination,
    offsets: Sequence[int],
    *,
    partition: int = 0,
    replay: str | None = None,
    route: str | None = None,
    **fields: Any,
) -> Body:
    """Return a body of one event for each offset; the id of an event is its offset. `replay`: the id of a job."""
    events = [event(offset, **{"collected": NOON + offset} | fields) for offset in offsets]
    return body_of_events(destination, events, offsets, partition=partition, replay=replay, route=route)


def body_of_events(
    destination: Destination,
    events: Sequence[dict[str, Any]],
    offsets: Sequence[int],
    *,
    partition: int = 0,
    replay: str | None = None,
    route: str | None = None,
) -> Body:
    """Return a body of these events at these offsets."""
    frame = decode([message(each) for each in events], dict(WRITER_SCHEMAS.items())).frame
    rows = destination.encode(frame if replay is None else mark_replayed(frame, replay))
    places = (OffsetRange("events", partition, offsets[0], offsets[-1]),)
    content = destination.body(rows)
    return Body(content, len(rows), len(content), places, route, tuple(offsets), replay)


def uids(numbers: Sequence[int]) -> list[str]:
    """Return the uids of the events of `body`."""
    return [f"acme.atlassian.net/{number}" for number in numbers]

"""Events that an object-store destination has written, and the archive that reads them back."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from consumer.decoding.columns import decode
from consumer.destinations.contract import Body, Destination, OffsetRange
from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.object_store.destination import ObjectStoreDestination
from consumer.destinations.object_store.layout import flow_layouts
from consumer.destinations.object_store.store import Store
from consumer.destinations.outcome import Sent
from consumer.replay.archive_objects import ArchiveObjects
from consumer.replay.archive_opening import open_archive
from consumer.replay.archive_reader import ObjectArchive
from consumer.replay.source import ArchivedRecords
from relay.errors import RelayError
from relay.kafka import TopicPartition
from tests.support.messages import WRITER_SCHEMAS, event, message
from tests.support.object_stores import NOON

PARTITION = TopicPartition("jira-audit.events", 3)


def lake(location: str, **settings: Any) -> ObjectStoreConfig:
    """Return the settings of an archive."""
    return ObjectStoreConfig(kind="object-store", location=location, **settings)


async def write(
    destination: Destination,
    events: Mapping[int, dict[str, Any]],
    partition: TopicPartition = PARTITION,
    route: str | None = None,
) -> None:
    """Send events by their offsets in one body, and see that it is accepted."""
    offsets = sorted(events)
    frame = decode([message(events[offset]) for offset in offsets], dict(WRITER_SCHEMAS.items())).frame
    rows = destination.encode(frame)
    content = destination.body(rows)
    place = OffsetRange(partition.topic, partition.partition, offsets[0], offsets[-1])
    body = Body(content, len(rows), len(content), (place,), route, offsets)
    assert await destination.send(body) == Sent()


def some(offsets: Iterable[int], **fields: Any) -> dict[int, dict[str, Any]]:
    """Return a small event for each offset, whose id is its offset, collected at noon unless `fields` say otherwise."""
    return {offset: event(offset, **{"collected": NOON + offset} | fields) for offset in offsets}


def flows_over(store: Store, **settings: Any) -> Mapping[str, Any]:
    """Return the flows of the destination `lake` over a store."""
    config = lake("file:///memory", **settings)
    return {
        flow: ObjectStoreDestination(store, "lake", config, flow, layout, 20.0)
        for flow, layout in flow_layouts(config).items()
    }


def archive_over(
    store: Store,
    delivered: int | None = None,
    days: tuple[int, int] | None = None,
    lost: Sequence[tuple[int, int]] = (),
) -> ObjectArchive:
    """Return the archive of a store, whose group has delivered every partition up to an offset; None: nobody knows how far."""
    return ObjectArchive(ArchiveObjects(store, "lake", "memory://"), KnownDeliveries(delivered, lost), days)


@dataclass
class KnownDeliveries:
    """The same for every partition."""

    until: int | None
    lost_ranges: Sequence[tuple[int, int]] = ()

    async def delivered(self, _partition: TopicPartition, _start: int) -> int | None:
        return self.until

    async def lost(self, _partition: TopicPartition) -> Sequence[tuple[int, int]]:
        return self.lost_ranges


@asynccontextmanager
async def archive(
    config: ObjectStoreConfig, delivered: int | None = None, **options: Any
) -> AsyncIterator[ObjectArchive]:
    """Open an archive whose group has delivered every partition up to an offset; None: nobody knows how far."""
    async with open_archive("lake", config, KnownDeliveries(delivered), **options) as opened:
        yield opened


async def read(
    opened: ObjectArchive, start: int, end: int, partition: TopicPartition = PARTITION
) -> list[ArchivedRecords]:
    """Return all chunks of a range."""
    return [chunk async for chunk in opened.records(partition, start, end)]


async def read_to_error(
    opened: ObjectArchive, start: int, end: int
) -> tuple[list[ArchivedRecords], RelayError | None]:
    """Return the chunks of a range before an error, and the error."""
    found: list[ArchivedRecords] = []
    try:
        async for chunk in opened.records(PARTITION, start, end):
            found.append(chunk)  # noqa: PERF401 - those before an error count
    except RelayError as error:
        return found, error
    return found, None


def offsets_of(chunks: Sequence[ArchivedRecords]) -> list[int]:
    """Return the offsets of all records."""
    return [record.offset for chunk in chunks for record in chunk.records]


def missing_of(chunks: Sequence[ArchivedRecords]) -> list[tuple[int, int]]:
    """Return the ranges that are missing."""
    return [each for chunk in chunks for each in chunk.missing]

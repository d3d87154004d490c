"""The archive of a replay, opened from the settings of the object-store destination that wrote it."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from consumer.destinations.contract import DestinationConfig
from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.object_store.opening import open_store
from consumer.group_names import PipelineFlow, group_name
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.group_reader import read_group_progress
from consumer.replay.archive_objects import ArchiveError, ArchiveObjects
from consumer.replay.archive_reader import Delivered, ObjectArchive, Range
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics

REQUEST_SECONDS = 40.0


def require_archive(
    name: str, config: DestinationConfig, conditions: Collection[str] = ()
) -> ObjectStoreConfig:
    """Check that the objects of a destination have whole events. Raises ArchiveError with the reason.

    `conditions`: every event that is wanted meets each of them, as the conditions of the job and of its destination.
    """
    if not isinstance(config, ObjectStoreConfig):
        raise ArchiveError(
            f"The destination {name} is of the kind {config.kind}, and an archive is an object-store destination: name one."
        )
    if config.format != "native":
        raise ArchiveError(
            f"The archive {name} has the format {config.format}, from which no event can be restored exactly."
            ' Name an object-store destination with format = "native".'
        )
    if config.hide:
        raise ArchiveError(
            f"The archive {name} hides {', '.join(sorted(config.hide))}, so its rows are not those that Kafka had."
            " Name an object-store destination without hide."
        )
    if config.where and config.where not in conditions:
        raise ArchiveError(
            f"The archive {name} has only events that meet its condition {config.where!r}."
            " Name an object-store destination without where, or give the replay the same condition in --where."
        )
    return config


@asynccontextmanager
async def open_archive(
    name: str,
    config: DestinationConfig,
    delivered: Delivered,
    *,
    conditions: Collection[str] = (),
    days: Range | None = None,
) -> AsyncIterator[ObjectArchive]:
    """Open the archive; no request is made. Raises ArchiveError, or RelayError for settings that cannot be used.

    `delivered` as `delivered_by` returns it; `days` as in ObjectArchive.
    """
    settings = require_archive(name, config, conditions)
    store = open_store(name, settings, REQUEST_SECONDS)
    try:
        yield ObjectArchive(
            ArchiveObjects(store, name, settings.location, frozenset(conditions)), delivered, days
        )
    finally:
        await store.close()


def delivered_by(connection: Connection, name: str) -> Delivered:
    """Return how far the destination `name` has delivered each partition, by the commits of its groups.

    It is the live group, or that of history, for its topic. Before the split offset of a first start it is the group of older
    events, until that one has reached it. The result raises RelayError, or an error of KAFKA_FAILURES.
    """
    prefix = connection.kafka.topic_prefix
    topics = Topics(prefix)

    async def progress(flow: PipelineFlow, partition: TopicPartition) -> DeliveryProgress | None:
        group = group_name(prefix, name, flow)
        return (await read_group_progress(connection, group, partition.topic))[partition][0]

    async def delivered(partition: TopicPartition, start: int) -> int | None:
        found = await progress("history" if partition.topic == topics.backfill else "live", partition)
        if found is None:
            return None
        if found.live_from is None or start >= found.live_from:
            return found.offset
        older = await progress("older", partition)
        return found.offset if older is None or older.offset >= found.live_from else older.offset

    return delivered

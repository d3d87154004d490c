"""The archive of a replay, opened from the settings of the object-store destination that wrote it."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from consumer.destinations.contract import DestinationConfig
from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.object_store.opening import open_store
from consumer.group_names import PipelineFlow, group_name
from consumer.losses.store import LossStore
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.group_reader import read_group_progress
from consumer.replay.archive_losses import Range
from consumer.replay.archive_objects import ArchiveError, ArchiveObjects
from consumer.replay.archive_reader import Deliveries, ObjectArchive
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
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


def archives_for(destinations: Mapping[str, DestinationConfig], name: str) -> list[str]:
    """Return the other destinations whose objects have whole every event that the destination `name` receives."""
    where = destinations[name].where
    conditions = () if where is None else (where,)
    return [
        each
        for each, config in destinations.items()
        if each != name and _is_archive(each, config, conditions)
    ]


def _is_archive(name: str, config: DestinationConfig, conditions: Collection[str]) -> bool:
    try:
        require_archive(name, config, conditions)
    except ArchiveError:
        return False
    return True


@asynccontextmanager
async def open_archive(
    name: str,
    config: DestinationConfig,
    deliveries: Deliveries,
    *,
    conditions: Collection[str] = (),
    days: Range | None = None,
) -> AsyncIterator[ObjectArchive]:
    """Open the archive; no request is made. Raises ArchiveError, or RelayError for settings that cannot be used.

    `deliveries` as `delivered_by` returns it; `days` as in ObjectArchive.
    """
    settings = require_archive(name, config, conditions)
    store = open_store(name, settings, REQUEST_SECONDS)
    try:
        yield ObjectArchive(
            ArchiveObjects(store, name, settings.location, frozenset(conditions)), deliveries, days
        )
    finally:
        await store.close()


def delivered_by(connection: Connection, name: str) -> Deliveries:
    """Return what the groups of the destination `name` have delivered, and what it has lost.

    Each call of the result raises RelayError, or an error of KAFKA_FAILURES.
    """
    return _GroupDeliveries(connection, name)


class _GroupDeliveries:
    """Asks Kafka anew each time."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._topics = Topics(connection.kafka.topic_prefix)

    async def delivered(self, partition: TopicPartition, start: int) -> int | None:
        """Return the committed offset of the live group, or of that of history, for its topic.

        Before the split offset of a first start it is that of the group of older events, until this one has reached it.
        """
        flow: PipelineFlow = "history" if partition.topic == self._topics.backfill else "live"
        found = await self._progress(flow, partition)
        if found is None:
            return None
        if found.live_from is None or start >= found.live_from:
            return found.offset
        older = await self._progress("older", partition)
        return found.offset if older is None or older.offset >= found.live_from else older.offset

    async def _progress(self, flow: PipelineFlow, partition: TopicPartition) -> DeliveryProgress | None:
        group = group_name(self._topics.prefix, self._name, flow)
        return (await read_group_progress(self._connection, group, partition.topic)).partitions[partition][0]

    async def lost(self, partition: TopicPartition) -> Sequence[Range]:
        """Return the ranges on the topic of destinations, which an operator has not dismissed."""
        async with RecordWriter(self._connection) as writer:
            stored = await LossStore(self._connection, self._topics.destinations, writer).read(self._name)
        return [
            (each.start, each.stop)
            for each in stored.ranges.values()
            if (each.topic, each.partition) == tuple(partition)
        ]

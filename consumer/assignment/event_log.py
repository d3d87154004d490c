"""Single records of an event topic, which prove start offsets."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import records_at
from relay.kafka.record_search import find_record, last_record_before

TIMESTAMP_TOLERANCE_MS = 60_000
"""How far timestamps may go back within a partition; the relay's own never do."""


class EventLog(Protocol):
    """Single records of a topic. Each method raises KafkaError, TimeoutError or RelayError."""

    async def records_at(
        self, offsets: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record | None]:
        """Return the record at each offset: None where the log has no record, left out where it is deleted or corrupt."""

    async def find(
        self, partition: TopicPartition, start: int, fingerprint: RecordFingerprint
    ) -> RecordFingerprint | None:
        """Return where the record of this checksum and timestamp is, from `start` on; None: the log does not hold it."""

    async def last_before(self, partition: TopicPartition, offset: int) -> RecordFingerprint | None:
        """Return the last record before an offset; None: there is none."""


class KafkaEventLog:
    """The events of a cluster."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def records_at(
        self, offsets: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record | None]:
        return await records_at(self._connection, offsets)

    async def find(
        self, partition: TopicPartition, start: int, fingerprint: RecordFingerprint
    ) -> RecordFingerprint | None:
        found = await find_record(
            self._connection,
            partition,
            start,
            lambda record: RecordFingerprint.of(record).is_same_record(fingerprint),
            lambda record: record.timestamp > fingerprint.timestamp + TIMESTAMP_TOLERANCE_MS,
        )
        return RecordFingerprint.of(found) if found else None

    async def last_before(self, partition: TopicPartition, offset: int) -> RecordFingerprint | None:
        found = await last_record_before(self._connection, partition, offset)
        return RecordFingerprint.of(found) if found else None


async def with_fingerprint(
    log: EventLog, partition: TopicPartition, progress: DeliveryProgress
) -> DeliveryProgress:
    """Return progress that the record before its offset proves from now on, though another process delivered it, or none."""
    return replace(progress, last=await log.last_before(partition, progress.offset))

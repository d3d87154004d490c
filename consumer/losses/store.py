"""The lost ranges on the topic of destinations."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from consumer.losses.lost_range import LostRange, key_prefix
from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.kafka import KAFKA_FAILURES, KafkaError, Record
from relay.kafka.compacted_topics import read_table
from relay.kafka.connection import Connection
from relay.kafka.producer import TopicWriteError

_UNREADABLE = (NotAvro, BadBody, UnknownSchema)


class KeyWriter(Protocol):
    """Writes one record and returns its offset: `relay.kafka.producer.RecordWriter`."""

    async def send(self, topic: str, key: bytes | None, value: bytes | None) -> int: ...


@dataclass(frozen=True, slots=True)
class StoredLosses:
    """The lost ranges of a destination, by key, and the keys of those that cannot be read, as after a newer release."""

    ranges: dict[str, LostRange]
    unreadable: tuple[str, ...] = ()


class LossStore:
    """Reads and writes the lost ranges of one installation."""

    def __init__(self, connection: Connection, topic: str, writer: KeyWriter) -> None:
        self._connection = connection
        self._topic = topic
        self._writer = writer
        self._codec = InternalCodec("destination_loss")

    async def read(self, destination: str) -> StoredLosses:
        """Return the lost ranges of a destination. Raises RelayError, or an error of KAFKA_FAILURES for a later attempt."""
        return (await self.read_each([destination]))[destination]

    async def read_each(self, destinations: Iterable[str]) -> dict[str, StoredLosses]:
        """Return the lost ranges of several destinations; failures as for `read`."""
        table = await read_table(self._connection, self._topic)
        return {each: self._decoded(table, key_prefix(each).encode()) for each in destinations}

    def _decoded(self, table: dict[bytes, Record], prefix: bytes) -> StoredLosses:
        ranges: dict[str, LostRange] = {}
        unreadable = []
        for key, record in table.items():
            if not key.startswith(prefix):
                continue
            name = key.decode(errors="replace")
            try:
                ranges[name] = _from_record(self._codec.decode(record.value or b""))
            except _UNREADABLE:
                unreadable.append(name)
        return StoredLosses(ranges, tuple(sorted(unreadable)))

    async def write(self, lost: LostRange) -> None:
        """Write a range, in place of one with the same start.

        Raises KafkaError where a later attempt may succeed, and TopicWriteError where Kafka refuses it.
        """
        await self._send(lost.key, self._codec.encode(asdict(lost)))

    async def delete(self, lost: LostRange) -> None:
        """Delete a range; failures as for `write`."""
        await self._send(lost.key, None)

    async def _send(self, key: str, value: bytes | None) -> None:
        try:
            await self._writer.send(self._topic, key.encode(), value)
        except TopicWriteError as error:
            cause = error.__cause__
            if isinstance(cause, KAFKA_FAILURES) and (not isinstance(cause, KafkaError) or cause.retriable):
                raise KafkaError(str(error).removesuffix(".")) from error
            raise


def _from_record(record: dict[str, Any]) -> LostRange:
    return LostRange(**{name: record[name] for name in LostRange.__slots__})

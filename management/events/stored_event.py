"""One event where it is in Kafka."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from management.decoding import RecordDecoder, open_decoder
from management.formatting import iso_milliseconds
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from management.personal_data import without_personal_data
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import log_bounds, partitions_of, records_at, standalone_consumer
from relay.kafka.topics import Topics
from relay.replays.refill import replay_of
from relay.telemetry.traces.context import context_in

_ADDRESS = re.compile(r"(events|backfill)/(\d{1,9})/(\d{1,18})", re.ASCII)
_INSTANTS = ("created", "collected")


class NoEventError(RelayError):
    """Kafka has no event at this place."""


@dataclass(frozen=True, slots=True)
class EventAddress:
    """A place on one of the two event topics. `topic`: `events` or `backfill`, without the prefix."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> "EventAddress":
        """Parse TOPIC/PARTITION/OFFSET. Raises InputError."""
        found = _ADDRESS.fullmatch(text.strip())
        if found is None:
            raise InputError("The place of an event must be TOPIC/PARTITION/OFFSET, such as events/3/1700.")
        return cls(found[1], int(found[2]), int(found[3]))

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event and its place. `at`: Kafka's timestamp, ms UTC. `replay`: the replay that it is there for alone; None: all.

    `trace_id`: of its trace, in hexadecimal; None: it was not traced.
    """

    address: EventAddress
    full_topic: str
    at: int
    event: Mapping[str, Any]
    replay: str | None = None
    trace_id: str | None = None

    @property
    def organization(self) -> str:
        return str(self.event["organization"])

    @property
    def uid(self) -> str:
        """EventUid, as the destinations have it."""
        variant = self.event.get("variant")
        return f"{self.organization}/{self.event['id']}{f'/{variant}' if variant else ''}"

    def shown(self, *, personal: bool) -> dict[str, Any]:
        """Return the event for people: instants in ISO 8601, without personal data unless `personal`."""
        event = dict(self.event) if personal else without_personal_data(self.event)
        return event | {name: iso_milliseconds(event[name]) for name in _INSTANTS if name in event}

    def document(self, *, personal: bool = False) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "address": str(self.address),
            "uid": self.uid,
            "topic": self.full_topic,
            "partition": self.address.partition,
            "offset": self.address.offset,
            "at": iso_milliseconds(self.at),
            "replay": self.replay,
            "trace_id": self.trace_id,
            "event": self.shown(personal=personal),
        }


async def read_event(
    connection: Connection, registry: SchemaRegistryConfig, address: EventAddress
) -> StoredEvent:
    """Return the event at a place. Raises NoEventError if Kafka has none there, or RelayError."""
    topic = topic_named(Topics(connection.kafka.topic_prefix), address.topic)
    tp = TopicPartition(topic, address.partition)
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        await _require_kept(connection, tp, address)
        record = (await records_at(connection, {tp: address.offset})).get(tp)
        if record is None:
            raise NoEventError(
                f"Kafka has no event at {address}. The offset may be one of Kafka's own records for transactions."
            )
        async with open_decoder(registry, connection) as decoder:
            found, why = await decode_event(decoder, record, address.topic)
    if found is None:
        raise NoEventError(f"The record at {address} is no event that this release can read. {why}".strip())
    return found


async def _require_kept(connection: Connection, tp: TopicPartition, address: EventAddress) -> None:
    async with standalone_consumer(connection) as consumer:
        if tp.partition not in await partitions_of(consumer, tp.topic):
            raise NoEventError(f"The topic {tp.topic} has no partition {tp.partition}.")
        bounds = (await log_bounds(consumer, [tp]))[tp]
    if address.offset < bounds.log_start_offset:
        raise NoEventError(
            f"Kafka has deleted the event at {address}: it keeps events for a time, and the partition begins at offset"
            f" {bounds.log_start_offset} now. A destination may still have it."
        )
    if address.offset >= bounds.last_stable_offset:
        raise NoEventError(
            f"Kafka has no event at {address}: the partition ends at offset {bounds.last_stable_offset}."
        )


async def decode_event(
    decoder: RecordDecoder, record: Record, short_topic: str
) -> tuple[StoredEvent | None, str]:
    """Return the event of a record, or why it is none."""
    decoded, why = await decoder.decode(record.value or b"")
    if decoded is None or not {"organization", "id"} <= decoded.record.keys():
        return None, why or ""
    address = EventAddress(short_topic, record.partition, record.offset)
    replay, trace = replay_of(record.headers), context_in(record.headers)
    trace_id = None if trace is None else trace.trace_id.hex()
    return StoredEvent(address, record.topic, record.timestamp, decoded.record, replay, trace_id), ""


def topic_named(topics: Topics, short: str) -> str:
    """Return the name of the topic `events` or `backfill`, with its prefix."""
    return topics.events if short == "events" else topics.backfill


def short_name(topics: Topics, topic: str) -> str:
    """Return the name of an event topic without its prefix."""
    return "events" if topic == topics.events else "backfill"

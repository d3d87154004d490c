"""What stands on the event topics of one shard."""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import structlog
from pyroaring import BitMap64

from producer.recovery.reconcile import Ids, Standing, Tail, Whole
from relay.avro.codec import (
    BadBody,
    Encoder,
    Fingerprint,
    NotAvro,
    SchemaId,
    SchemaRef,
    decode_body,
    split_frame,
)
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, read_to_end, require_stable_bounds, standalone_consumer
from relay.kafka.positions import Positions
from relay.schema_registry.client import Missing, Unavailable
from relay.schema_registry.store import SchemaStore
from relay.timestamps import day_of
from schemas import Schema, released

TAIL_OFFSETS = 2_000
"""More than any transaction takes."""

log = structlog.get_logger(__name__)


async def read_settled(
    connection: Connection, tp: TopicPartition, on_record: Callable[[Record], None]
) -> LogBounds:
    """Hand over all that is committed. Raises TopicReadError, also where a transaction has no end."""
    async with standalone_consumer(connection) as reader:
        span = await require_stable_bounds(reader, tp)
        await read_to_end(reader, {tp: span.log_start_offset}, {tp: span.last_stable_offset}, on_record)
    return span


async def read_tail(connection: Connection, decoder: "Decoder", tp: TopicPartition, since: int) -> Tail:
    """The last events of a topic: those with a Kafka timestamp of `since` or later, and some before."""
    records: list[Record] = []
    async with standalone_consumer(connection) as reader:
        span = await require_stable_bounds(reader, tp)
        later = (await Positions(reader).offsets_for_time([tp], since))[tp]
        end = span.last_stable_offset
        start = max(span.log_start_offset, min(end if later is None else later, end - TAIL_OFFSETS))
        await read_to_end(reader, {tp: start}, {tp: end}, records.append)
    oldest = min((record.timestamp for record in records), default=math.inf)
    return Tail(start, tuple(await decoder.of(records)), oldest if span.log_start_offset else 0)


async def read_whole(
    connection: Connection,
    decoder: "Decoder",
    tp: TopicPartition,
    organizations: Collection[str],
    kept_since: int,
) -> Whole:
    """All events of these organizations on a topic; it is read from its start.

    `kept_since`: from when on retention has deleted nothing (ms); where something stands, that says more.
    """
    keys = {name.encode() for name in organizations}
    found = _Found()

    def take(record: Record) -> None:
        found.oldest = min(found.oldest, record.timestamp)
        if record.key in keys:
            found.take(record, decoder.known(record))

    span = await read_settled(connection, tp, take)
    for event in await decoder.of(found.unknown):
        found.add(event)
    oldest = kept_since if math.isinf(found.oldest) else found.oldest
    return Whole(found.ids, found.last, 0 if span.log_start_offset == 0 else oldest, span.log_start_offset)


@dataclass(slots=True)
class _Found:
    ids: Ids = field(default_factory=dict)
    last: dict[str, Standing] = field(default_factory=dict)
    unknown: list[Record] = field(default_factory=list)
    oldest: float = math.inf

    def take(self, record: Record, event: Standing | None) -> None:
        if event is None:
            self.unknown.append(record)
        else:
            self.add(event)

    def add(self, event: Standing) -> None:
        days = self.ids.setdefault(event.organization, {})
        days.setdefault(day_of(event.created), BitMap64()).add(event.id)
        before = self.last.get(event.organization)
        if before is None or before.offset < event.offset:
            self.last[event.organization] = event


class Decoder:
    """Reads of events what a ledger needs; what is no event of ours is told and passed over.

    Our own versions are tried whatever a message says of its schema: what a registry does not know any more would be taken for
    lost, and published again.
    """

    def __init__(self, store: SchemaStore, ours: Encoder) -> None:
        self._store = store
        self._ours = ours
        self._versions = (ours.schema, *reversed(released("audit_event")))
        self._schemas: dict[SchemaRef, Schema | Missing] = {}

    def known(self, record: Record) -> Standing | None:
        """None where it takes more than what is at hand."""
        value = record.value or b""
        try:
            ref, start = split_frame(value)
        except NotAvro:
            return None
        told = self._schemas.get(ref)
        schemas = self._versions if told is None or isinstance(told, Missing) else (told, *self._versions)
        found = (_standing(record, schema, value[start:]) for schema in schemas)
        return next((event for event in found if event is not None), None)

    async def of(self, records: Iterable[Record]) -> list[Standing]:
        """Raises RelayError where a schema cannot be had right now."""
        events = []
        for record in records:
            event = self.known(record)
            if event is None:
                await self._learn(record)
                event = self.known(record)
            if event is not None:
                events.append(event)
            else:
                log.warning(
                    "A message on an event topic is no event.",
                    topic=record.topic,
                    shard=record.partition,
                    offset=record.offset,
                )
        return events

    async def _learn(self, record: Record) -> None:
        """A version newer than this one may have written it."""
        try:
            ref, _ = split_frame(record.value or b"")
        except NotAvro:
            return
        without_registry = isinstance(self._ours.ref, Fingerprint)
        if ref in self._schemas or (isinstance(ref, SchemaId) and without_registry):
            return
        found = await self._store.resolve(ref)
        if isinstance(found, Unavailable):
            raise RelayError(f"The schema of the last events cannot be had: {found.reason}")
        self._schemas[ref] = found


def _standing(record: Record, schema: Schema, body: bytes) -> Standing | None:
    try:
        event = decode_body(schema, body)
        if record.key != str(event["organization"]).encode():
            return None
        return Standing(
            event["organization"], int(event["id"]), int(event["created"]), record.offset, record.timestamp
        )
    except (BadBody, KeyError, ValueError, TypeError):
        return None

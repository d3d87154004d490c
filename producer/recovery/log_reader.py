"""Reads a shard's event topics for recovery: the tail of a log, or all of it."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from pyroaring import BitMap64

from producer.recovery.logged_events import IdsByDay, LoggedEvent, LogScan, LogTail, RefilledEvent
from producer.state.checkpoint import EventTime
from producer.state.ledger import DayLedger, event_keys
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
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, read_to_end, require_stable_bounds, standalone_consumer
from relay.replays.refill import replay_of
from relay.schema_registry.client import Missing, Unavailable
from relay.schema_registry.store import SchemaStore
from schemas import Schema, released

log = structlog.get_logger(__name__)


async def read_committed(
    connection: Connection, tp: TopicPartition, on_record: Callable[[Record], None]
) -> LogBounds:
    """Pass each committed record to `on_record`. Raises TopicReadError, also for a hanging transaction."""
    async with standalone_consumer(connection) as reader:
        span = await require_stable_bounds(reader, tp)
        await read_to_end(reader, {tp: span.log_start_offset}, {tp: span.last_stable_offset}, on_record)
    return span


async def read_log_tail(
    connection: Connection, decoder: "EventDecoder", tp: TopicPartition, since: int, tail_offsets: int
) -> LogTail:
    """Read the last events of a topic: its last `tail_offsets`, and all with a Kafka timestamp of `since` (ms) or later.

    Events that are there for one replay are apart: no ledger holds them.
    """
    records: list[Record] = []
    async with standalone_consumer(connection) as reader:
        span = await require_stable_bounds(reader, tp)
        later = (await BoundedConsumer(reader).offsets_for_time([tp], since))[tp]
        end = span.last_stable_offset
        start = max(span.log_start_offset, min(end if later is None else later, end - tail_offsets))
        await read_to_end(reader, {tp: start}, {tp: end}, records.append)
    oldest = min((record.timestamp for record in records), default=math.inf)
    newest = max((record.timestamp for record in records), default=0)
    events = await decoder.decode_all(record for record in records if replay_of(record.headers) is None)
    refilled = [
        RefilledEvent(replay_id, event)
        for record in records
        if (replay_id := replay_of(record.headers)) is not None
        for event in await decoder.decode_all([record])
    ]
    complete_since = oldest if span.log_start_offset else 0
    return LogTail(start, tuple(events), complete_since, newest, tuple(refilled))


async def scan_log(
    connection: Connection,
    decoder: "EventDecoder",
    tp: TopicPartition,
    ledgers: Mapping[str, Mapping[str, DayLedger]],
    kept_since: int,
) -> LogScan:
    """Read all events of some organizations from the start of a topic.

    `ledgers`: of these organizations, by day; they tell which keys an event has. `kept_since` (ms): retention has deleted nothing newer; used only if the topic is empty.
    """
    keys = {name.encode() for name in ledgers}
    scan = _ScanState(ledgers)

    def on_record(record: Record) -> None:
        scan.oldest = min(scan.oldest, record.timestamp)
        if record.key in keys and replay_of(record.headers) is None:
            scan.add_record(record, decoder.try_decode(record))

    span = await read_committed(connection, tp, on_record)
    for event in await decoder.decode_all(scan.unknown):
        scan.add(event)
    oldest = kept_since if math.isinf(scan.oldest) else scan.oldest
    return LogScan(
        scan.ids, scan.last, 0 if span.log_start_offset == 0 else oldest, span.log_start_offset, scan.newest
    )


@dataclass(slots=True)
class _ScanState:
    ledgers: Mapping[str, Mapping[str, DayLedger]]
    ids: IdsByDay = field(default_factory=dict)
    last: dict[str, LoggedEvent] = field(default_factory=dict)
    newest: dict[str, EventTime] = field(default_factory=dict)
    unknown: list[Record] = field(default_factory=list)
    oldest: float = math.inf

    def add_record(self, record: Record, event: LoggedEvent | None) -> None:
        if event is None:
            self.unknown.append(record)
        else:
            self.add(event)

    def add(self, event: LoggedEvent) -> None:
        days = self.ids.setdefault(event.organization, {})
        days.setdefault(event.day, BitMap64()).update(event.keys_in(self.ledgers[event.organization]))
        self.newest[event.organization] = max(self.newest.get(event.organization, event.time), event.time)
        before = self.last.get(event.organization)
        if before is None or before.offset < event.offset:
            self.last[event.organization] = event


class EventDecoder:
    """Decodes the fields of an event that a ledger needs; other messages are logged and skipped.

    The released versions of the schema are tried whatever schema a message names. Otherwise an event whose schema the
    registry has lost would count as lost, and be published again.
    """

    def __init__(self, store: SchemaStore, encoder: Encoder) -> None:
        self._store = store
        self._encoder = encoder
        self._versions = (encoder.schema, *reversed(released("audit_event")))
        self._schemas: dict[SchemaRef, Schema | Missing] = {}

    def try_decode(self, record: Record) -> LoggedEvent | None:
        """Decode with the schemas at hand. None: that is not enough."""
        value = record.value or b""
        try:
            ref, start = split_frame(value)
        except NotAvro:
            return None
        resolved = self._schemas.get(ref)
        schemas = (
            self._versions
            if resolved is None or isinstance(resolved, Missing)
            else (resolved, *self._versions)
        )
        found = (_logged_event(record, schema, value[start:]) for schema in schemas)
        return next((event for event in found if event is not None), None)

    async def decode_all(self, records: Iterable[Record]) -> list[LoggedEvent]:
        """Decode records, with schemas from the store if need be. Raises RelayError if a schema is not available now."""
        events = []
        for record in records:
            event = self.try_decode(record)
            if event is None:
                await self._resolve_schema(record)
                event = self.try_decode(record)
            if event is not None:
                events.append(event)
            elif self._may_be_newer(record):
                raise RelayError(
                    f"Offset {record.offset} of {record.topic}, partition {record.partition}, looks like an event of a newer"
                    " release, whose schema is nowhere. No event may count as lost, so the shard stays closed. Put the former"
                    " content of the schema registry back, or upgrade this relay."
                )
            else:
                log.warning(
                    "A message on an event topic was skipped: it is no event.",
                    topic=record.topic,
                    shard=record.partition,
                    offset=record.offset,
                )
        return events

    def _may_be_newer(self, record: Record) -> bool:
        """Return whether a record that no schema at hand fits may be an event: it holds its key, and its own schema is nowhere."""
        try:
            ref, start = split_frame(record.value or b"")
        except NotAvro:
            return False
        unresolved = ref != self._encoder.ref and not isinstance(self._schemas.get(ref), dict)
        key = record.key or b""
        return unresolved and key != b"" and key in (record.value or b"")[start:]

    async def _resolve_schema(self, record: Record) -> None:
        """Look up the schema that the record names: a newer version of the relay may have written it."""
        try:
            ref, _ = split_frame(record.value or b"")
        except NotAvro:
            return
        without_registry = isinstance(self._encoder.ref, Fingerprint)
        if ref in self._schemas or (isinstance(ref, SchemaId) and without_registry):
            return
        schema = await self._store.resolve(ref)
        if isinstance(schema, Unavailable):
            raise RelayError(f"The schema of the last events is not available: {schema.reason}")
        self._schemas[ref] = schema


def _logged_event(record: Record, schema: Schema, body: bytes) -> LoggedEvent | None:
    try:
        event = decode_body(schema, body)
        if record.key != str(event["organization"]).encode():
            return None
        variant = event.get("variant")
        event_keys(event["id"], variant)  # raises ValueError for a variant that the relay never wrote
        return LoggedEvent(
            event["organization"],
            int(event["id"]),
            int(event["created"]),
            record.offset,
            record.timestamp,
            variant,
        )
    except (BadBody, KeyError, ValueError, TypeError):
        return None

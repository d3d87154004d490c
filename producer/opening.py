"""Opening a shard: fence its former owner, end what Kafka left open, and read from Kafka all that is to be known."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog
from pyroaring import BitMap64

from producer import checkpoint as checkpoints
from producer.amending import Amendment, Progresses, Standing, Tail, amend
from producer.desk import Desk
from producer.ledger import Delta, Ledger, day_from_record, split_key
from producer.memory import Memory, Progress
from producer.telemetry import Metrics
from relay.codec import BadBody, Encoder, Internal, NotAvro, UnknownSchema, decode_body, split
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.positions import Positions
from relay.kafka.producing import Outgoing
from relay.kafka.reading import Span, group_less, read_to_end, settled_spans
from relay.kafka.topics import Topics
from relay.kafka.transactions import Publisher
from relay.registry import Missing, Unavailable
from relay.schema_store import SchemaStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens the desks of shards."""

    connection: Connection
    topics: Topics
    store: SchemaStore
    metrics: Metrics
    now_ms: Callable[[], int]

    async def open(self, partition: int) -> Desk:
        """Take a shard over. Raises RelayError, KafkaError or TimeoutError; nothing is left open then."""
        encoder = await self.store.event_encoder()
        publisher = await Publisher.open(self.connection, f"{self.topics.prefix}.{partition}")
        try:
            return await self._open(partition, publisher, encoder)
        except BaseException:
            await publisher.discard()
            raise

    async def _open(self, partition: int, publisher: Publisher, encoder: Encoder) -> Desk:
        names = (self.topics.events, self.topics.backfill, self.topics.progress, self.topics.dead_letters)
        ended = await publisher.end_dangling([TopicPartition(name, partition) for name in names])
        progresses = await self._progresses(partition)
        amendments = amend(progresses, await self._tail(partition, progresses.last))
        memory = _memory(progresses)
        if amendments:
            await publisher.publish([], lambda _: self._amended(partition, memory, amendments))
        self.metrics.shard_opened(partition, len(memory.organizations), len(ended))
        for amendment in amendments:
            self.metrics.ledger_amended(amendment.organization, amendment.day, amendment.lost)
        return Desk(publisher, memory, encoder, self.topics, partition, self.metrics, self.now_ms)

    async def _progresses(self, partition: int) -> Progresses:
        latest: dict[str, Record] = {}
        last = 0

        def keep(record: Record) -> None:
            nonlocal last
            latest[(record.key or b"").decode("utf-8", "replace")] = record
            last = max(last, record.timestamp)

        await _read(self.connection, {TopicPartition(self.topics.progress, partition): 0}, keep)
        progresses = Progresses(last=last)
        for key, record in latest.items():
            if record.value is not None:
                _take(progresses, key, record, record.value)
        return progresses

    async def _tail(self, partition: int, last: int) -> Tail:
        tps = [TopicPartition(name, partition) for name in (self.topics.events, self.topics.backfill)]
        async with group_less(self.connection) as reader:
            spans = await settled_spans(reader, tps)
            found = await Positions(reader).offsets_for_time(tps, last)
        starts = {
            tp: offset
            for tp, offset in found.items()
            if offset is not None and offset < spans[tp].committed_end
        }
        records: list[Record] = []
        if starts:
            await _read(self.connection, starts, records.append)
        events = [
            (record.timestamp, event)
            for record in records
            if (event := await self._standing(record)) is not None
        ]
        return Tail(
            tuple(event for timestamp, event in events if timestamp <= last),
            tuple(event for timestamp, event in events if timestamp > last),
            whole=all(_reaches(spans[tp], starts.get(tp), records, last) for tp in tps),
        )

    async def _standing(self, record: Record) -> Standing | None:
        """What the ledger needs of an event; None where the message is not one of ours."""
        value = record.value or b""
        try:
            ref, start = split(value)
            schema = await self.store.resolve(ref)
            if isinstance(schema, Unavailable):
                raise RelayError(f"The schema of the last events cannot be had: {schema.reason}")
            body = {} if isinstance(schema, Missing) else decode_body(schema, value[start:])
            return Standing(str(body["organization"]), int(body["id"]), int(body["created"]))
        except (NotAvro, BadBody, KeyError, ValueError, TypeError):
            log.warning(
                "A message on an event topic is no event.",
                topic=record.topic,
                shard=record.partition,
                offset=record.offset,
            )
            return None

    def _amended(self, partition: int, memory: Memory, amendments: list[Amendment]) -> list[Outgoing]:
        memory.last_collected = collected = max(self.now_ms(), memory.last_collected + 1)
        ledgers, codec = Internal("day_ledger"), Internal("checkpoint")
        values: dict[str, bytes] = {}
        for amendment in amendments:
            progress = memory.organizations[amendment.organization]
            day = Delta({amendment.day: progress.ledger.days[amendment.day]}, 0)
            values |= {
                key: ledgers.encode(record)
                for key, record in progress.ledger.to_records(day).items()
                if record
            }
            if progress.checkpoint is not None:
                progress.checkpoint = replace(progress.checkpoint, written=collected)
                values[amendment.organization] = codec.encode(progress.checkpoint.to_record())
        return [
            Outgoing(self.topics.progress, partition, key.encode(), value, collected)
            for key, value in values.items()
        ]


def _memory(progresses: Progresses) -> Memory:
    names = progresses.days.keys() | progresses.checkpoints.keys()
    return Memory(
        {
            name: Progress(Ledger(name, progresses.days.get(name)), progresses.checkpoints.get(name))
            for name in names
        },
        progresses.last,
    )


def _take(progresses: Progresses, key: str, record: Record, value: bytes) -> None:
    name, day = split_key(key)
    try:
        if day is None:
            progresses.checkpoints[name] = checkpoints.from_record(Internal("checkpoint").decode(value))
        else:
            entry = Internal("day_ledger").decode(value)
            progresses.days[name][day] = day_from_record(entry)
            added = BitMap64.deserialize(entry["added"]) if entry["added"] else BitMap64()
            progresses.added[name, day] = (record.timestamp, added)
    except (NotAvro, UnknownSchema, BadBody) as error:
        raise RelayError(
            f"The progress of {key} cannot be read ({record.topic}, partition {record.partition}, offset {record.offset}): {error}."
        ) from error


def _reaches(span: Span, start: int | None, records: list[Record], last: int) -> bool:
    """Whether the tail of a topic goes back to `last` for certain: retention has not deleted its beginning."""
    if span.first == 0 or (start is not None and start > span.first):
        return True
    kept = [record.timestamp for record in records if record.offset == span.first]
    return bool(kept) and min(kept) <= last


async def _read(
    connection: Connection, starts: dict[TopicPartition, int], on_record: Callable[[Record], None]
) -> None:
    async with group_less(connection) as reader:
        spans = await settled_spans(reader, list(starts))
        await read_to_end(
            reader,
            {tp: max(start, spans[tp].first) for tp, start in starts.items()},
            {tp: spans[tp].committed_end for tp in starts},
            on_record,
        )

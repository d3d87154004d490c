"""Opening a shard: fence its former owner, end what Kafka left open, and read from Kafka all that is to be known."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pyroaring import BitMap64

from producer.metrics import Metrics
from producer.publishing.publisher import Desk
from producer.publishing.topic_limits import KnownLimits
from producer.recovery.log_reader import Decoder, read_settled, read_tail, read_whole
from producer.recovery.reconcile import Amendment, Progresses, put_in, shaken, take_out
from producer.state import checkpoint as checkpoints
from producer.state.ledger import Delta, Ledger, day_from_record, split_key
from producer.state.shard_state import Memory, Progress
from relay.avro.codec import BadBody, Encoder, InternalCodec, NotAvro, UnknownSchema
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics
from relay.kafka.transactions import Publisher
from relay.schema_registry.store import SchemaStore

ORGANIZATIONS = 10
"""As many are amended in one transaction, each as a whole."""


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens the desks of shards."""

    connection: Connection
    topics: Topics
    store: SchemaStore
    limits: KnownLimits
    metrics: Metrics
    now_ms: Callable[[], int]

    async def open(self, partition: int) -> Desk:
        """Take a shard over. Raises RelayError, KafkaError or TimeoutError; nothing is left open then."""
        encoder = await self.store.event_encoder()
        publisher = await Publisher.open(self.connection, f"{self.topics.prefix}.{partition}")
        try:
            return await self._open(partition, publisher, encoder)
        except BaseException:
            await asyncio.shield(publisher.discard())
            raise

    async def _open(self, partition: int, publisher: Publisher, encoder: Encoder) -> Desk:
        names = (self.topics.events, self.topics.backfill, self.topics.progress, self.topics.dead_letters)
        ended = await publisher.end_hanging([TopicPartition(name, partition) for name in names])
        progresses = await self._progresses(partition)
        collected, amendments = await self._compare(partition, progresses, Decoder(self.store, encoder))
        memory = _memory(progresses, collected)
        await self._mend(publisher, partition, memory, amendments, progresses.last)
        self.metrics.shard_opened(partition, len(memory.organizations), len(ended))
        for amendment in amendments:
            if amendment.day is not None:
                self.metrics.ledger_amended(amendment.organization, amendment.day, amendment.lost)
        return Desk(
            publisher,
            memory,
            encoder,
            self.topics,
            partition,
            lambda: self.limits.now.max_event_bytes,
            self.metrics,
            self.now_ms,
        )

    async def _compare(
        self, partition: int, progresses: Progresses, decoder: Decoder
    ) -> tuple[int, list[Amendment]]:
        """Make progress agree with the events that stand; the newest Kafka timestamp of all, and what was changed."""
        live, history = (
            TopicPartition(name, partition) for name in (self.topics.events, self.topics.backfill)
        )
        tails = (
            await read_tail(self.connection, decoder, live, progresses.last),
            await read_tail(self.connection, decoder, history, progresses.last),
        )
        amendments = put_in(progresses, *tails)
        if names := shaken(progresses, *tails):
            self.metrics.tail_lost(partition, sorted(names))
            kept_since = max(self.now_ms(), progresses.last) - self.limits.now.retention_ms
            amendments += take_out(
                progresses,
                names,
                await read_whole(self.connection, decoder, live, names, kept_since),
                await read_whole(self.connection, decoder, history, names, kept_since),
            )
        newest = (event.timestamp for tail in tails for event in tail.events)
        return max([progresses.last, *newest]), amendments

    async def _progresses(self, partition: int) -> Progresses:
        latest: dict[str, Record] = {}
        last = 0

        def keep(record: Record) -> None:
            nonlocal last
            latest[(record.key or b"").decode("utf-8", "replace")] = record
            last = max(last, record.timestamp)

        await read_settled(self.connection, TopicPartition(self.topics.progress, partition), keep)
        progresses = Progresses(last=last)
        for key, record in latest.items():
            if record.value is not None:
                _take(progresses, key, record, record.value)
        return progresses

    async def _mend(
        self,
        publisher: Publisher,
        partition: int,
        memory: Memory,
        amendments: Sequence[Amendment],
        before: int,
    ) -> None:
        """Write what was amended. Only the last transaction is newer than all progress `before`: whoever opens after a death
        in between compares as we did.
        """
        names = sorted({amendment.organization for amendment in amendments})
        for start in range(0, len(names), ORGANIZATIONS):
            part, rest = names[start : start + ORGANIZATIONS], names[start + ORGANIZATIONS :]
            if not rest:
                memory.last_collected = before = max(self.now_ms(), memory.last_collected + 1)
            some = [amendment for amendment in amendments if amendment.organization in part]
            await publisher.publish(self._amended(partition, memory, some, before))

    def _amended(
        self, partition: int, memory: Memory, amendments: Iterable[Amendment], at: int
    ) -> list[ProducerRecord]:
        ledgers, codec = InternalCodec("day_ledger"), InternalCodec("checkpoint")
        days: dict[str, bytes] = {}
        points: dict[str, bytes] = {}
        for amendment in amendments:
            progress = memory.organizations[amendment.organization]
            if amendment.day is not None:
                day = Delta({amendment.day: progress.ledger.days[amendment.day]}, 0)
                records = progress.ledger.to_records(day)
                days |= {key: ledgers.encode(record) for key, record in records.items() if record}
            if progress.checkpoint is not None:
                progress.checkpoint = replace(progress.checkpoint, written=at)
                points[amendment.organization] = codec.encode(progress.checkpoint.to_record())
        return [
            ProducerRecord(self.topics.progress, partition, key.encode(), value, at)
            for key, value in {**days, **points}.items()
        ]


def _memory(progresses: Progresses, collected: int) -> Memory:
    names = progresses.days.keys() | progresses.checkpoints.keys()
    return Memory(
        {
            name: Progress(Ledger(name, progresses.days.get(name)), progresses.checkpoints.get(name))
            for name in names
        },
        collected,
    )


def _take(progresses: Progresses, key: str, record: Record, value: bytes) -> None:
    name, day = split_key(key)
    try:
        if day is None:
            progresses.checkpoints[name] = checkpoints.from_record(InternalCodec("checkpoint").decode(value))
        else:
            entry = InternalCodec("day_ledger").decode(value)
            progresses.days[name][day] = day_from_record(entry)
            added = BitMap64.deserialize(entry["added"]) if entry["added"] else BitMap64()
            progresses.added[name, day] = (record.timestamp, added)
    except (NotAvro, UnknownSchema, BadBody) as error:
        raise RelayError(
            f"The progress of {key} cannot be read ({record.topic}, partition {record.partition}, offset {record.offset}): {error}."
        ) from error

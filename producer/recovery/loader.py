"""Takes a shard over: fences its former owner, ends hanging transactions, loads the state from Kafka, and repairs it.

The order of the steps is what makes a take-over safe:

1. Start the producer. Its transactional id fences the former owner and aborts its open transaction: from here on nobody else
   can write. Everything read before might still change.
2. End hanging transactions, by a commit to their partitions. A broker that died right after it acknowledged a commit may come
   back without the markers. A read_committed reader stops before such a transaction, so the state would be loaded without
   it, and its events be published again beside the first ones, which become visible later.
3. Load progress, read_committed, to the end of the log.
4. Compare it with the event topics (reconcile.py). Only after this is a ledger believed.
5. Write the repairs before the publisher exists, so that the next owner finds the state that this one begins with.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pyroaring import BitMap64

from producer.metrics import ProducerMetrics
from producer.publishing.publisher import ShardPublisher
from producer.publishing.shard_topics import ShardTopics
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.publishing.transaction_outcomes import TransactionOutcomes
from producer.publishing.transaction_size import TransactionLimits, TransactionSize
from producer.recovery.log_reader import EventDecoder, read_committed, read_log_tail, scan_log
from producer.recovery.reconcile import (
    LedgerRepair,
    StoredProgress,
    add_missing_ids,
    find_lost_tails,
    remove_lost_ids,
)
from producer.recovery.refills import repair_refills
from producer.state import checkpoint as checkpoints
from producer.state.ledger import Ledger, LedgerDelta, day_ledger_from_record, split_progress_key
from producer.state.shard_state import OrganizationState, ShardState
from relay.avro.codec import BadBody, Encoder, InternalCodec, NotAvro, UnknownSchema
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.publish_errors import PublishError
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer, TransactionTiming
from relay.schema_registry.store import SchemaStore


@dataclass(frozen=True, slots=True)
class LoaderLimits:
    """Bounds of loading a shard, and of the transactions of its publisher."""

    tail_offsets: int = 2_000
    """Offsets read from the end of each event topic: more than any transaction takes."""
    organizations_per_transaction: int = 10
    """Organizations repaired in one transaction, each as a whole."""
    transaction: TransactionLimits = field(default_factory=TransactionLimits)


@dataclass(frozen=True, slots=True)
class ShardLoader:
    """Loads shards: for each a publisher with the state that Kafka holds."""

    connection: Connection
    topics: Topics
    store: SchemaStore
    topic_limits: TopicLimitsWatcher
    metrics: ProducerMetrics
    now_ms: Callable[[], int]
    limits: LoaderLimits = field(default_factory=LoaderLimits)

    async def load(self, partition: int, outcomes: TransactionOutcomes | None = None) -> ShardPublisher:
        """Take a shard over. Raises RelayError, KafkaError or TimeoutError, and leaves nothing open then.

        `outcomes`: outcomes of the shard's transactions in this process; None: there were none.
        """
        outcomes = outcomes or TransactionOutcomes()
        if outcomes.size_refusal is not None:
            await self.topic_limits.size_refused(outcomes.size_refusal)
            outcomes.size_refusal = None
        encoder = await self.store.event_encoder()
        transactions = await TransactionalProducer.open(
            self.connection,
            f"{self.topics.prefix}.{partition}",
            timing=TransactionTiming().lasting(outcomes.transaction_seconds).times(self.connection.patience),
            max_batch_bytes=self.topic_limits.current.max_batch_bytes,
        )
        try:
            return await self._load(partition, transactions, encoder, outcomes)
        except BaseException:
            await asyncio.shield(transactions.discard())
            raise

    async def _load(
        self,
        partition: int,
        transactions: TransactionalProducer,
        encoder: Encoder,
        outcomes: TransactionOutcomes,
    ) -> ShardPublisher:
        names = (self.topics.events, self.topics.backfill, self.topics.progress, self.topics.dead_letters)
        ended_transactions = await transactions.end_hanging(
            [TopicPartition(name, partition) for name in names]
        )
        stored = await self._read_stored_progress(partition)
        collected, repairs = await self._reconcile(partition, stored, EventDecoder(self.store, encoder))
        state = _shard_state(stored, collected)
        await self._write_repairs(transactions, partition, state, repairs, stored.last_timestamp, outcomes)
        self.metrics.shard_loaded(partition, len(state.organizations), len(ended_transactions))
        for repair in repairs:
            if repair.day is not None:
                self.metrics.ledger_repaired(repair.organization, repair.day, repair.lost)
        return ShardPublisher(
            transactions,
            state,
            ShardTopics(self.topics, partition, encoder, self.limits.transaction),
            lambda: self.topic_limits.current,
            self.metrics,
            self.now_ms,
            outcomes,
        )

    async def _reconcile(
        self, partition: int, stored: StoredProgress, decoder: EventDecoder
    ) -> tuple[int, list[LedgerRepair]]:
        """Make `stored` agree with the event topics. Return the newest Kafka timestamp of both (ms), and the repairs."""
        live, backfill = (
            TopicPartition(name, partition) for name in (self.topics.events, self.topics.backfill)
        )
        tail_offsets = self.limits.tail_offsets
        tails = (
            await read_log_tail(self.connection, decoder, live, stored.last_timestamp, tail_offsets),
            await read_log_tail(self.connection, decoder, backfill, stored.last_timestamp, tail_offsets),
        )
        repairs = add_missing_ids(stored, *tails)
        if names := find_lost_tails(stored, *tails):
            self.metrics.tail_lost(partition, sorted(names))
            ledgers = {name: stored.days[name] for name in names}
            kept_since = max(self.now_ms(), stored.last_timestamp) - self.topic_limits.current.retention_ms
            repairs += remove_lost_ids(
                stored,
                names,
                await scan_log(self.connection, decoder, live, ledgers, kept_since),
                await scan_log(self.connection, decoder, backfill, ledgers, kept_since),
            )
        repairs += repair_refills(stored, tails[1])
        newest = (event.timestamp for tail in tails for event in tail.events)
        return max([stored.last_timestamp, *newest, *(tail.newest for tail in tails)]), repairs

    async def _read_stored_progress(self, partition: int) -> StoredProgress:
        latest: dict[str, Record] = {}
        last = 0

        def keep(record: Record) -> None:
            nonlocal last
            latest[(record.key or b"").decode("utf-8", "replace")] = record
            last = max(last, record.timestamp)

        await read_committed(self.connection, TopicPartition(self.topics.progress, partition), keep)
        stored = StoredProgress(last_timestamp=last)
        for key, record in latest.items():
            if record.value is not None:
                _store_record(stored, key, record, record.value)
        return stored

    async def _write_repairs(
        self,
        transactions: TransactionalProducer,
        partition: int,
        state: ShardState,
        repairs: Sequence[LedgerRepair],
        last_timestamp: int,
        outcomes: TransactionOutcomes,
    ) -> None:
        """Write the repairs, some organizations in each transaction; fewer at the next attempt if one did not end in time.

        The records keep `last_timestamp`, that of the newest progress, except those of the last transaction. A loader that
        comes after a death in between then compares with the same tails as this one, and finds the rest.
        """
        names = sorted({repair.organization for repair in repairs})
        at_once = min(
            self.limits.organizations_per_transaction, outcomes.limits(self.limits.transaction).max_events
        )
        for start in range(0, len(names), at_once):
            batch, rest = names[start : start + at_once], names[start + at_once :]
            if not rest:
                state.last_collected = last_timestamp = max(self.now_ms(), state.last_collected + 1)
            batch_repairs = [repair for repair in repairs if repair.organization in batch]
            records = self._repair_records(partition, state, batch_repairs, last_timestamp)
            try:
                await transactions.publish(records)
            except PublishError as error:
                outcomes.size_refusal = error.size_refusal or outcomes.size_refusal
                if error.timed_out:
                    outcomes.timed_out(
                        TransactionSize(len(batch), 0, sum(len(record.value or b"") for record in records)),
                        throttled=error.throttled,
                    )
                raise

    def _repair_records(
        self, partition: int, state: ShardState, repairs: Iterable[LedgerRepair], at: int
    ) -> list[ProducerRecord]:
        ledger_codec, checkpoint_codec = InternalCodec("day_ledger"), InternalCodec("checkpoint")
        days: dict[str, bytes] = {}
        checkpoints_by_key: dict[str, bytes] = {}
        for repair in repairs:
            organization_state = state.organizations[repair.organization]
            if repair.day is not None:
                day = LedgerDelta({repair.day: organization_state.ledger.days[repair.day]}, 0)
                records = organization_state.ledger.to_records(day)
                days |= {key: ledger_codec.encode(record) for key, record in records.items() if record}
            if organization_state.checkpoint is not None:
                organization_state.checkpoint = replace(organization_state.checkpoint, written=at)
                checkpoints_by_key[repair.organization] = checkpoint_codec.encode(
                    organization_state.checkpoint.to_record()
                )
        return [
            ProducerRecord(self.topics.progress, partition, key.encode(), value, at)
            for key, value in {**days, **checkpoints_by_key}.items()
        ]


def _shard_state(stored: StoredProgress, collected: int) -> ShardState:
    names = stored.days.keys() | stored.checkpoints.keys()
    return ShardState(
        {
            name: OrganizationState(Ledger(name, stored.days.get(name)), stored.checkpoints.get(name))
            for name in names
        },
        collected,
    )


def _of_organization(record: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the record. Raises BadBody if it is of another organization than its key names."""
    if record["organization"] != name:
        raise BadBody("its organization is not its key")
    return record


def _store_record(stored: StoredProgress, key: str, record: Record, value: bytes) -> None:
    name, day = split_progress_key(key)
    try:
        if day is None:
            record_of_name = _of_organization(InternalCodec("checkpoint").decode(value), name)
            stored.checkpoints[name] = checkpoints.from_record(record_of_name)
        else:
            entry = _of_organization(InternalCodec("day_ledger").decode(value), name)
            stored.days[name][day] = day_ledger_from_record(entry)
            added = BitMap64.deserialize(entry["added"]) if entry["added"] else BitMap64()
            stored.added[name, day] = (record.timestamp, added)
    except (NotAvro, UnknownSchema, BadBody) as error:
        raise RelayError(
            f"The progress of {key} cannot be read ({record.topic}, partition {record.partition}, offset {record.offset}): {error}."
        ) from error

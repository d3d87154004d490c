"""The content of one transaction, decided before it begins: events, dead letters, ledgers and positions.

Pure: no clock, no Kafka call, and no change of state. `plan_transaction` takes the records that fit, and
`build_transaction` turns them into Kafka records. Sizes are checked here, so that no transaction begins that a
topic would refuse.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from producer.events import Event, UnreadableRecord
from producer.publishing.dead_letters import dead_letter_records
from producer.publishing.deduplication import (
    Deduplicator,
    SameId,
    deduplicated,
    newest_event,
    records_with_one_id,
    reuse_bounds,
    with_published,
)
from producer.publishing.progress_values import fitting_checkpoint, ledger_values
from producer.publishing.refill import RefillBatch
from producer.publishing.shard_topics import ShardTopics
from producer.publishing.transaction_size import TransactionLimits, TransactionSize
from producer.state.checkpoint import Checkpoint, EventPosition, with_active_hours, with_completeness_pair
from producer.state.intervals import TimeRange
from producer.state.ledger import Ledger, LedgerDelta
from producer.state.mode import is_no_longer_read, mode_of
from relay.avro.codec import Encoder, Unencodable
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_facts import TopicLimits

AdvanceCheckpoint = Callable[[Checkpoint], Checkpoint]


@dataclass(slots=True)
class PendingRecords:
    """Records of a window that are read and not yet published, oldest first; plans take from it until it is empty.

    `overlap` in ms. `backfill_from` None: no history is wanted. `restore` is the source's: JSON of an event's record.
    """

    events: list[Event]
    unreadable: list[UnreadableRecord]
    window: TimeRange
    overlap: int
    backfill_from: int | None
    restore: Callable[[Event], bytes]
    same_id: SameId = field(init=False)
    """Of the whole window: a plan that takes the rest of it must know the records that another one took."""

    def __post_init__(self) -> None:
        self.same_id = records_with_one_id(self.events)

    @property
    def empty(self) -> bool:
        return not self.events and not self.unreadable


@dataclass(frozen=True, slots=True)
class TransactionPlan:
    """New events of one transaction, complete and encoded, and new dead letters."""

    collected: int
    events: Sequence[Event] = ()
    values: Sequence[bytes] = ()
    unreadable: Sequence[UnreadableRecord] = field(default=())

    @property
    def empty(self) -> bool:
        return not self.events and not self.unreadable

    @property
    def reused_ids(self) -> Sequence[int]:
        """Ids of the events that are published with a variant."""
        return [event["id"] for event in self.events if event["variant"] is not None]


@dataclass(frozen=True, slots=True)
class Transaction:
    """The Kafka records of one transaction, and the state after its commit."""

    records: Sequence[ProducerRecord]
    """Events and dead letters; their offsets are known before the progress records are made."""
    delta: LedgerDelta
    plan: TransactionPlan
    _checkpoint: Checkpoint
    _ledgers: Mapping[str, bytes | None]
    _topics: ShardTopics
    _window_complete: bool
    _refill: RefillBatch | None = None
    """The events that it publishes again for a replay; None: none."""
    _marks: int = 0
    """How many dead letters it marks."""

    @property
    def organization(self) -> str:
        return self._checkpoint.organization

    @property
    def size(self) -> TransactionSize:
        plan = self.plan
        if self._refill is not None:
            return TransactionSize(len(self._refill.records), 0, self._refill.bytes)
        letters = len(plan.unreadable) + self._marks
        raw_bytes = sum(len(unreadable.raw) for unreadable in plan.unreadable)
        return TransactionSize(len(plan.events), letters, raw_bytes + sum(map(len, plan.values)))

    def after_offsets(self, offsets: Sequence[int]) -> Sequence[ProducerRecord]:
        """Return the progress records: the changed ledgers, and the checkpoint last."""
        checkpoint = self.checkpoint(offsets)
        value = self._topics.checkpoint_codec.encode(checkpoint.to_record())
        return [
            self._topics.progress_record(key, record, self.plan.collected)
            for key, record in {**self._ledgers, checkpoint.organization: value}.items()
        ]

    def checkpoint(self, offsets: Sequence[int]) -> Checkpoint:
        """Return the checkpoint that is committed when `records` got these offsets."""
        if self._refill is not None:
            return self._refill.with_offsets(replace(self._checkpoint, written=self.plan.collected), offsets)
        return with_positions(self._checkpoint, self.plan, offsets, window_complete=self._window_complete)

    def with_refill(self, batch: RefillBatch) -> "Transaction":
        """Return a transaction without events of its own, with those of a refill."""
        return replace(self, records=batch.records, _refill=batch)

    def with_marks(self, marks: Sequence[ProducerRecord]) -> "Transaction":
        """Return a transaction that marks dead letters too."""
        return replace(self, records=[*self.records, *marks], _marks=len(marks))


def plan_transaction(
    pending: PendingRecords,
    checkpoint: Checkpoint,
    ledger: Ledger,
    topics: ShardTopics,
    collected: int,
    topic_limits: TopicLimits,
) -> TransactionPlan:
    """Take as many pending records as fit one transaction; leave out those already published or not wanted.

    An event that its topic does not accept becomes a dead letter. Dead letters follow the last event.
    """
    limits = topics.limits
    events: list[Event] = []
    values: list[bytes] = []
    deduplicator = Deduplicator(ledger, newest_event(checkpoint, ledger), pending.same_id)
    size = consumed = 0
    for candidate in pending.events:
        found = _new_event(candidate, pending, checkpoint, deduplicator, collected)
        value = (
            encode_event(found, topics.event_encoder, max_value_bytes(found, topic_limits), pending.restore)
            if isinstance(found, dict)
            else found
        )
        if isinstance(value, UnreadableRecord):
            pending.unreadable.append(value)
        elif isinstance(found, dict) and value is not None:
            if events and (len(events) == limits.max_events or size + len(value) > limits.max_bytes):
                break
            deduplicator.take(found)
            events.append(found)
            values.append(value)
            size += len(value)
        consumed += 1
    del pending.events[:consumed]
    unreadable = () if pending.events else _take_dead_letters(pending, len(events), size, limits)
    if is_no_longer_read(pending.window.end - 1, checkpoint):
        unreadable = ()
    return TransactionPlan(collected, events, values, ledger.new_dead_letters(unreadable))


def build_transaction(
    plan: TransactionPlan,
    checkpoint: Checkpoint,
    ledger: Ledger,
    topics: ShardTopics,
    topic_limits: TopicLimits,
    *,
    window_complete: bool,
    window: TimeRange | None = None,
) -> Transaction:
    """Build the transaction that commits a plan together with `checkpoint`.

    `window`: the one the plan's records were read in; None only without dead letters. `window_complete`: with this
    transaction everything up to the window end is published. Raises ProgressTooLargeError.
    """
    reused_after = reuse_bounds(checkpoint, ledger, plan.events)
    delta = ledger.expire_days(
        ledger.plan(plan.events, plan.unreadable, read=window, reused_after=reused_after), checkpoint
    )
    checkpoint = with_active_hours(checkpoint, (event["created"] for event in plan.events), plan.collected)
    checkpoint = fitting_checkpoint(
        with_published(checkpoint, ledger, plan.events), topics, topic_limits.max_progress_bytes
    )
    return Transaction(
        [
            *_event_records(plan, topics),
            *_dead_letters_of(plan, topics, checkpoint.organization, topic_limits.max_dead_letter_bytes),
        ],
        delta,
        plan,
        checkpoint,
        ledger_values(ledger, delta, topics, topic_limits.max_progress_bytes),
        topics,
        window_complete,
    )


def with_positions(
    checkpoint: Checkpoint, plan: TransactionPlan, offsets: Sequence[int], *, window_complete: bool
) -> Checkpoint:
    """Return the checkpoint that is committed with the plan, whose events have these offsets.

    `window_complete`: with this transaction everything up to the window end is published.
    """
    last_event, last_backfill = checkpoint.last_event, checkpoint.last_backfill
    last = {event["mode"] == "backfill": place for place, event in enumerate(plan.events)}
    for is_backfill, place in last.items():
        position = EventPosition(offsets[place], plan.events[place]["id"])
        if is_backfill:
            last_backfill = position
        else:
            last_event = position
    written = replace(checkpoint, written=plan.collected, last_event=last_event, last_backfill=last_backfill)
    if not window_complete:
        return written
    return with_completeness_pair(written, last_event.offset + 1 if last_event else 0)


def _take_dead_letters(
    pending: PendingRecords, events: int, size: int, limits: TransactionLimits
) -> Sequence[UnreadableRecord]:
    """Take the dead letters that fit beside so many events; one always fits a transaction of its own."""
    count = 0
    for one in pending.unreadable:
        size += len(one.raw)
        if (events or count) and (count == limits.max_dead_letters or size > limits.max_bytes):
            break
        count += 1
    taken = pending.unreadable[:count]
    del pending.unreadable[:count]
    return taken


def _new_event(
    event: Event, pending: PendingRecords, checkpoint: Checkpoint, deduplicator: Deduplicator, collected: int
) -> Event | UnreadableRecord | None:
    """Return the event to publish. None: it is not wanted, or published."""
    mode = mode_of(event["created"], checkpoint, pending.overlap, pending.backfill_from)
    if mode is None:
        return None
    return deduplicated(
        {**event, "collected": collected, "mode": mode, "variant": None}, deduplicator, pending.restore
    )


def max_value_bytes(event: Event, topic_limits: TopicLimits) -> int:
    return topic_limits.max_backfill_bytes if event["mode"] == "backfill" else topic_limits.max_event_bytes


def encode_event(
    event: Event, encoder: Encoder, max_event_bytes: int, restore: Callable[[Event], bytes]
) -> bytes | UnreadableRecord:
    try:
        value = encoder.encode(event)
    except Unencodable as error:
        return UnreadableRecord(str(error), restore(event))
    if len(value) > max_event_bytes:
        reason = f"it makes an event of {len(value)} bytes, more than {max_event_bytes}"
        return UnreadableRecord(reason, restore(event))
    return value


def _event_records(plan: TransactionPlan, topics: ShardTopics) -> Iterable[ProducerRecord]:
    names, partition, collected = topics.names, topics.partition, plan.collected
    backfill, events = names.backfill, names.events
    for event, value in zip(plan.events, plan.values, strict=True):
        topic = backfill if event["mode"] == "backfill" else events
        yield ProducerRecord(topic, partition, event["organization"].encode(), value, collected)


def _dead_letters_of(
    plan: TransactionPlan, topics: ShardTopics, organization: str, max_value_bytes: int
) -> Iterable[ProducerRecord]:
    for unreadable in plan.unreadable:
        yield from dead_letter_records(
            unreadable,
            topic=topics.names.dead_letters,
            partition=topics.partition,
            organization=organization,
            at_ms=plan.collected,
            max_value_bytes=max_value_bytes,
        )

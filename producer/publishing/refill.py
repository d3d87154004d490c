"""The content of one transaction of a refill: events of a window again, for one replay alone. Pure.

The ledger neither leaves a record out nor learns of it: the events are on the topic of backfill once more, with the header that
names the replay, and every destination but one skips them. Cursors of live polling and of backfill stay where they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from producer.events import Event, content_hash
from producer.publishing.shard_topics import ShardTopics
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange
from producer.state.ledger import Ledger, variant_key
from producer.state.refill import RefillCursor
from relay.avro.codec import Encoder, Unencodable
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_facts import TopicLimits
from relay.replays.refill import REPLAY_HEADER


@dataclass(frozen=True, slots=True)
class RefillBatch:
    """The events of one transaction, encoded, and the cursor after them."""

    records: Sequence[ProducerRecord]
    cursor: RefillCursor
    taken: int
    """How many of the pending events it deals with: those that are published already or cannot be encoded too."""

    @property
    def bytes(self) -> int:
        return sum(len(record.value or b"") for record in self.records)

    def with_offsets(self, checkpoint: Checkpoint, offsets: Sequence[int]) -> Checkpoint:
        """Return the checkpoint that is committed when the records got these offsets."""
        cursor = replace(self.cursor, end=offsets[-1] + 1) if offsets else self.cursor
        return checkpoint.with_refill(cursor)


@dataclass(frozen=True, slots=True)
class RefillWindow:
    """Events of a part of a replay's window, oldest first, of which nothing is left out; instants are ms UTC.

    `end`: everything created before it was read. `unreadable`: records of the part that are no events. `done`: it is the last part.
    `unread`: a range of the part that the source failed to serve; None: it served all.
    """

    replay_id: str
    start: int
    end: int
    events: Sequence[Event]
    unreadable: int
    done: bool
    unread: TimeRange | None = None


def plan_refill(
    window: RefillWindow,
    first: int,
    cursor: RefillCursor,
    ledger: Ledger,
    topics: ShardTopics,
    collected: int,
    topic_limits: TopicLimits,
) -> RefillBatch:
    """Take as many events from index `first` on as fit one transaction; the last one moves the cursor to the end of the part.

    An event that the topic does not accept counts as unreadable: it became a dead letter when it was first read. Different records
    of one instant and one id are in one transaction: the cursor names ids, so after a death it could not tell them apart.
    """
    limits = topics.limits
    records: list[ProducerRecord] = []
    dealt_with: list[tuple[int, int]] = []
    size = unreadable = taken = 0
    for event in window.events[first:]:
        place = (event["created"], event["id"])
        if not cursor.holds(*place):
            value = _encode(event, ledger, topics.event_encoder, collected, topic_limits.max_backfill_bytes)
            full = len(records) >= limits.max_events or size + len(value or b"") > limits.max_bytes
            if records and full and place != dealt_with[-1]:
                break
            dealt_with.append(place)
            unreadable += value is None
            if value is not None:
                records.append(_record(event, value, window.replay_id, topics, collected))
                size += len(value)
        taken += 1
    moved = cursor.after_events(dealt_with, unreadable)
    if first + taken == len(window.events):
        moved = moved.after_window(window.end, window.unreadable, done=window.done)
        moved = moved if window.unread is None else moved.with_unread(window.unread)
    return RefillBatch(records, moved, taken)


def _encode(event: Event, ledger: Ledger, encoder: Encoder, collected: int, max_bytes: int) -> bytes | None:
    """Return the event as it was published, but for the time. None: it is too large, or does not fit its schema."""
    key = content_hash(event)
    variant = f"{key:016x}" if ledger.contains(variant_key(key)) else None
    try:
        value = encoder.encode({**event, "collected": collected, "mode": "backfill", "variant": variant})
    except Unencodable:
        return None
    return value if len(value) <= max_bytes else None


def _record(
    event: Event, value: bytes, replay_id: str, topics: ShardTopics, collected: int
) -> ProducerRecord:
    key, headers = event["organization"].encode(), [(REPLAY_HEADER, replay_id.encode())]
    return ProducerRecord(topics.names.backfill, topics.partition, key, value, collected, headers)

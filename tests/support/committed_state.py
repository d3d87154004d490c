"""The committed state of one organization, without Kafka: plans and transactions are the real ones."""

from collections.abc import Iterable
from typing import Any

from producer.events import Event, UnreadableRecord
from producer.publishing.shard_topics import ShardTopics
from producer.publishing.transaction import PendingRecords, build_transaction, plan_transaction
from producer.publishing.transaction_size import TransactionLimits
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from producer.state.ledger import DayLedger, Ledger, day_ledger_from_record, split_progress_key
from relay.avro.codec import InternalCodec
from relay.kafka.topic_facts import TopicLimits
from relay.timestamps import DAY_MS, day_start, to_iso
from tests.support.publisher import ENCODER, TOPICS

MONDAY = day_start("2026-11-23")
WHOLE = TimeRange(MONDAY - 9 * DAY_MS, MONDAY + 9 * DAY_MS)
SECOND, HOUR = 1_000, 3_600_000


def record(number: int, created: int, content: str = "a", **fields: Any) -> Event:
    event = to_event({"id": number, "created": to_iso(created), "summary": content, **fields}, "acme")
    assert isinstance(event, dict)
    return event


class CommittedState:
    """The committed state of one organization, and its events; the relay's memory is loaded from it anew each time."""

    def __init__(self, max_events: int = 1_000) -> None:
        self.topics = ShardTopics(TOPICS, 0, ENCODER, TransactionLimits(max_events=max_events))
        self.checkpoint = new_checkpoint("acme", WHOLE.start, now=0)
        self.days: dict[str, DayLedger] = {}
        self.events: list[Event] = []
        self.dead_letters: list[UnreadableRecord] = []

    def publish(self, *records: Event, kill_after: int | None = None) -> list[Event]:
        """Publish a window, oldest first. `kill_after`: die after so many transactions. Return the new events."""
        ordered = sorted(records, key=lambda one: (one["created"], one["id"]))
        pending = PendingRecords(ordered, [], WHOLE, 0, None, restore_json)
        before, count = len(self.events), 0
        while not pending.empty and count != kill_after:
            self._commit(pending)
            count += 1
        return self.events[before:]

    def _commit(self, pending: PendingRecords) -> None:
        ledger = Ledger("acme", self.days)
        plan = plan_transaction(pending, self.checkpoint, ledger, self.topics, MONDAY, TopicLimits())
        transaction = build_transaction(
            plan,
            self.checkpoint,
            ledger,
            self.topics,
            TopicLimits(),
            window_complete=pending.empty,
            window=WHOLE,
        )
        written = transaction.after_offsets(range(len(self.events), len(self.events) + len(plan.events)))
        self.events += [InternalCodec("audit_event").decode(value) for value in plan.values]
        self.dead_letters += plan.unreadable
        for one in written:
            if one.value is None:
                continue
            day = split_progress_key((one.key or b"").decode())[1]
            if day is None:
                self.checkpoint = checkpoints.from_record(InternalCodec("checkpoint").decode(one.value))
            else:
                self.days[day] = day_ledger_from_record(InternalCodec("day_ledger").decode(one.value))


def contents(events: Iterable[Event]) -> list[str]:
    return [event["summary"] for event in events]


def uids(events: Iterable[Event]) -> list[str]:
    return ["/".join(str(one[name]) for name in ("id", "variant") if one[name] is not None) for one in events]

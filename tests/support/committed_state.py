"""The committed state of one organization, without Kafka: plans and transactions are the real ones."""

from producer.publishing.shard_layout import ShardLayout
from producer.publishing.transaction import (
    PendingRecords,
    TransactionLimits,
    build_transaction,
    plan_transaction,
)
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from producer.state.ledger import Ledger, day_ledger_from_record, split_progress_key
from relay.avro.codec import InternalCodec
from relay.kafka.topic_facts import TopicLimits
from relay.timestamps import DAY_MS, day_start, to_iso
from tests.support.publisher import ENCODER, TOPICS

MONDAY = day_start("2026-11-23")
WHOLE = TimeRange(MONDAY - 9 * DAY_MS, MONDAY + 9 * DAY_MS)
SECOND, HOUR = 1_000, 3_600_000


def record(number, created, content="a", **fields):
    return to_event({"id": number, "created": to_iso(created), "summary": content, **fields}, "acme")


class CommittedState:
    """The committed state of one organization, and its events; the relay's memory is loaded from it anew each time."""

    def __init__(self, max_events=1_000):
        self.layout = ShardLayout(TOPICS, 0, ENCODER, TransactionLimits(max_events=max_events))
        self.checkpoint = new_checkpoint("acme", WHOLE.start, now=0)
        self.days = {}
        self.events = []
        self.dead_letters = []

    def publish(self, *records, kill_after=None):
        """Publish a window, oldest first. `kill_after`: die after so many transactions. Return the new events."""
        ordered = sorted(records, key=lambda one: (one["created"], one["id"]))
        pending = PendingRecords(ordered, [], WHOLE, 0, None, restore_json)
        before, count = len(self.events), 0
        while not pending.empty and count != kill_after:
            self._commit(pending)
            count += 1
        return self.events[before:]

    def _commit(self, pending):
        ledger = Ledger("acme", self.days)
        plan = plan_transaction(pending, self.checkpoint, ledger, self.layout, MONDAY, 4_000_000)
        transaction = build_transaction(
            plan,
            self.checkpoint,
            ledger,
            self.layout,
            TopicLimits(),
            window_complete=pending.empty,
            window=WHOLE,
        )
        written = transaction.after_offsets(range(len(self.events), len(self.events) + len(plan.events)))
        self.events += [InternalCodec("audit_event").decode(value) for value in plan.values]
        self.dead_letters += plan.unreadable
        for one in written:
            day = split_progress_key(one.key.decode())[1]
            if day is None:
                self.checkpoint = checkpoints.from_record(InternalCodec("checkpoint").decode(one.value))
            else:
                self.days[day] = day_ledger_from_record(InternalCodec("day_ledger").decode(one.value))


def contents(events):
    return [event["summary"] for event in events]


def uids(events):
    return ["/".join(str(one[name]) for name in ("id", "variant") if one[name] is not None) for one in events]

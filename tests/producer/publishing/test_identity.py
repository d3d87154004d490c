"""Which records count as published, where sites give one id to several records."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from prometheus_client import CollectorRegistry

from producer.metrics import ProducerMetrics
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


def record(number, created, content="a"):
    return to_event({"id": number, "created": to_iso(created), "summary": content}, "acme")


class Kafka:
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


def test_new_records_of_a_restored_site_are_published_under_their_own_key():
    """A record is another one if it was created after all published events, whatever id it has."""
    kafka = Kafka()
    old = [record(number, MONDAY + number * SECOND, f"old {number}") for number in range(1, 6)]
    kafka.publish(*old)
    new = [record(number, MONDAY + HOUR + number * SECOND, f"new {number}") for number in range(2, 7)]

    found = kafka.publish(*new)

    assert contents(found) == ["new 2", "new 3", "new 4", "new 5", "new 6"]
    assert [one["variant"] is None for one in found] == [False] * 4 + [True]
    assert len(set(uids(kafka.events))) == 10
    assert kafka.publish(*old, *new) == kafka.publish(*new) == []
    assert (kafka.checkpoint.id_reuse.count, kafka.checkpoint.id_reuse.since) == (4, MONDAY)


def test_a_known_id_of_another_day_is_another_record():
    """The data of another site was copied over: its records are older than the newest published event."""
    kafka = Kafka()
    kafka.publish(record(1, MONDAY + HOUR, "ours"), record(2, MONDAY + 2 * HOUR, "ours"))
    copied = record(1, MONDAY - DAY_MS, "copied")

    assert contents(kafka.publish(copied)) == ["copied"]
    assert kafka.publish(copied, record(1, MONDAY + HOUR, "ours")) == []


def test_a_record_that_is_read_again_is_known_at_every_crash():
    """A window of several transactions dies after each of them, before its checkpoint moves."""
    ordinary = [record(number, MONDAY + number // 3, str(number)) for number in range(9)]
    for kills in range(1, 9):
        kafka = Kafka(max_events=1)
        kafka.publish(*ordinary, kill_after=kills)
        kafka.publish(*ordinary)
        assert contents(kafka.events) == [str(number) for number in range(9)]
        assert kafka.checkpoint.id_reuse is None


@pytest.mark.parametrize("max_events", [1, 2, 1_000])
@pytest.mark.parametrize("apart", [1, HOUR, DAY_MS])
def test_different_records_with_one_id_in_one_window_are_all_published(max_events, apart):
    """Also where they are published in several transactions, and read again after each of them."""
    window = [record(7, MONDAY + number * apart, f"{number}") for number in range(3)]
    for kills in range(1, 4):
        kafka = Kafka(max_events)
        kafka.publish(*window, kill_after=kills)
        kafka.publish(*window)
        assert contents(kafka.events) == ["0", "1", "2"]
        assert len(set(uids(kafka.events))) == 3
        assert kafka.publish(*window) == kafka.dead_letters == []


def test_different_records_with_one_id_and_one_time_are_all_published():
    """In one transaction, all but the first get a variant."""
    kafka = Kafka()
    window = [record(7, MONDAY, "first"), record(7, MONDAY, "second"), record(7, MONDAY, "first")]

    assert contents(kafka.publish(*window)) == ["first", "second"]
    assert len(set(uids(kafka.events))) == 2
    assert kafka.publish(*window) == kafka.dead_letters == []


def test_a_record_that_may_be_published_becomes_a_dead_letter():
    """Of two records with one id one was published, and the ledger does not know which."""
    kafka = Kafka()
    shown, hidden = record(7, MONDAY + HOUR, "shown"), record(7, MONDAY, "hidden until now")
    kafka.publish(shown)

    for _ in range(2):
        assert kafka.publish(shown, hidden) == []
        assert [one.raw for one in kafka.dead_letters] == [restore_json(hidden), restore_json(shown)]
    assert "id 7" in kafka.dead_letters[0].reason


def test_one_time_and_id_over_two_transactions_lose_nothing():
    """Later transactions cannot know which of the two the first one published, so both become dead letters."""
    kafka = Kafka(max_events=1)
    window = [record(7, MONDAY, "first"), record(7, MONDAY, "second")]
    for _ in range(3):
        kafka.publish(*window)

    assert contents(kafka.events) == ["first"]
    assert {one.raw for one in kafka.dead_letters} == {restore_json(one) for one in window}
    assert len(kafka.dead_letters) == 2


def test_a_checkpoint_of_an_older_relay_makes_no_record_new():
    """It names no newest event, so the end of the ledger's last day is the bound."""
    kafka = Kafka()
    window = [record(1, MONDAY), record(2, MONDAY + HOUR)]
    kafka.publish(*window)
    kafka.checkpoint = checkpoints.from_record({**kafka.checkpoint.to_record(), "newest_event": None})

    assert kafka.publish(*window) == []
    assert contents(kafka.publish(record(1, MONDAY + 2 * HOUR, "same day"))) == []
    assert contents(kafka.publish(record(1, MONDAY + DAY_MS, "next day"))) == ["next day"]


def test_reused_ids_are_counted_and_logged_once(capsys):
    """One line names the ids; the counter has all of them."""
    registry = CollectorRegistry()
    metrics = ProducerMetrics(registry)
    metrics.ids_reused("acme", [7, 8], first=True)
    metrics.ids_reused("acme", [9], first=False)

    assert registry.get_sample_value("jira_relay_producer_ids_reused_total", {"organization": "acme"}) == 3
    assert capsys.readouterr().out.count("The source gave ids of published records") == 1


class RestoredSite(RuleBasedStateMachine):
    """A site that is restored to an earlier state at any time, and a relay that dies at any transaction."""

    def __init__(self):
        super().__init__()
        self.kafka = Kafka(max_events=2)
        self.now = MONDAY
        self.site = []
        self.ever = []
        self.next_id = 1

    @rule(count=st.integers(1, 4), apart=st.sampled_from([0, 1, HOUR, DAY_MS // 2]))
    def happen(self, count, apart):
        self.now += 1
        for _ in range(count):
            self.site.append(record(self.next_id, self.now, f"record {len(self.ever)}"))
            self.ever.append(self.site[-1])
            self.next_id += 1
            self.now += apart

    @rule(lost=st.integers(1, 5))
    def restore(self, lost):
        """The last records are gone, and their ids are given again. The relay has read them before."""
        self.poll(None, 0)
        del self.site[-lost:]
        self.next_id = max((one["id"] for one in self.site), default=0) + 1

    @rule(kill_after=st.none() | st.integers(1, 3), depth=st.integers(0, 9))
    def poll(self, kill_after, depth):
        """Read all new records, and `depth` older ones again."""
        new = [one for one in self.site if one["summary"] not in contents(self.kafka.events)]
        old = [one for one in self.site if one not in new][-depth:] if depth else []
        self.kafka.publish(*old, *new, kill_after=kill_after)

    @invariant()
    def each_record_is_published_once(self):
        assert len(set(contents(self.kafka.events))) == len(self.kafka.events)
        assert len(set(uids(self.kafka.events))) == len(self.kafka.events)
        assert not self.kafka.dead_letters

    def teardown(self):
        self.poll(None, 9)
        assert sorted(contents(self.kafka.events)) == sorted(contents(self.ever))


RestoredSite.TestCase.settings = settings(max_examples=60, stateful_step_count=20)
TestRestoredSite = RestoredSite.TestCase

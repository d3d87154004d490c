"""What the refusals of many shards say about the limits of topics. Kafka's answers are given; no broker runs."""

import asyncio

import pytest
from pyroaring import BitMap64

from producer.publishing.learned_limits import LearnedLimits
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.publishing.transaction import PendingRecords, build_transaction, plan_transaction
from producer.sources.jira_cloud.mapping import restore_json
from producer.state.ledger import DayLedger, Ledger
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.kafka.size_refusals import SizeRefusal
from relay.kafka.topic_comparison import ExistingTopic
from relay.kafka.topic_facts import TopicFacts, TopicLimits
from relay.kafka.topics import Topics
from relay.timestamps import day_of
from tests.support.committed_state import MONDAY, WHOLE, CommittedState, record

TOPICS = Topics("jira-audit")
HIDDEN = TopicFacts({}, dict.fromkeys(TOPICS.all, "not authorized"))


def reported(**sizes):
    """Return what Kafka reports with these values of max.message.bytes; the other topics accept 5,000,000 bytes."""
    configs = {name: {"max.message.bytes": "5000000"} for name in TOPICS.all}
    configs |= {getattr(TOPICS, name): {"max.message.bytes": str(size)} for name, size in sizes.items()}
    return TopicFacts({name: ExistingTopic(16, 3, config) for name, config in configs.items()})


class Kafka:
    """What each look reports from now on."""

    def __init__(self, facts):
        self.facts = facts

    async def read(self, _connection):
        return self.facts


@pytest.fixture
def kafka(monkeypatch):
    found = Kafka(reported())
    monkeypatch.setattr("producer.publishing.topic_limits.read_topic_facts", found.read)
    return found


def watcher_of(facts, **timing):
    found = TopicLimitsWatcher(Connection(KafkaConfig(bootstrap="localhost:1")), TopicLimits(), **timing)
    found.update(facts)
    return found


@pytest.mark.parametrize(
    "seen_first", [False, True], ids=["refused first", "seen by the minute's look first"]
)
async def test_each_shard_is_refused_once_and_the_limit_is_what_kafka_reports(kafka, seen_first):
    """An operator lowers the limit while sixteen shards have producers with larger batches."""
    watcher = watcher_of(kafka.facts)
    opened_with = watcher.current.max_batch_bytes
    kafka.facts = reported(events=500_000)
    if seen_first:
        watcher.update(kafka.facts)
    for _shard in range(16):
        await watcher.size_refused(SizeRefusal(TOPICS.events, opened_with))

    assert watcher.current.max_event_bytes == 480_000


async def test_each_shard_is_refused_once_and_a_limit_that_kafka_does_not_report_is_halved_once(kafka):
    kafka.facts = HIDDEN
    watcher = watcher_of(HIDDEN)
    opened_with = watcher.current.max_batch_bytes
    for _shard in range(16):
        await watcher.size_refused(SizeRefusal(TOPICS.events, opened_with))

    assert watcher.current.max_event_bytes == opened_with // 2 - 20_000


async def test_a_late_refusal_of_a_larger_batch_changes_no_limit(kafka):
    """A shard whose producer is the oldest is refused after another has found the limit."""
    kafka.facts = HIDDEN
    watcher = watcher_of(HIDDEN)
    for _ in range(2):
        await watcher.size_refused(SizeRefusal(TOPICS.events, watcher.current.max_batch_bytes))
    found = watcher.current
    await watcher.size_refused(SizeRefusal(TOPICS.events, 1_000_000))

    assert watcher.current == found


async def test_an_ordinary_ledger_is_written_after_the_refusals_of_many_shards(kafka):
    """10,000 events of today fit a progress topic of 500,000 bytes."""
    watcher = watcher_of(kafka.facts)
    kafka.facts = reported(progress=500_000)
    for _shard in range(16):
        await watcher.size_refused(SizeRefusal(TOPICS.progress, 1_000_000))
    ledger = Ledger("acme", {day_of(MONDAY): DayLedger(BitMap64(range(0, 200_000, 20)))})
    state = CommittedState()
    pending = PendingRecords([record(300_000, MONDAY)], [], WHOLE, 0, None, restore_json)
    plan = plan_transaction(pending, state.checkpoint, ledger, state.topics, MONDAY, watcher.current)

    assert build_transaction(
        plan, state.checkpoint, ledger, state.topics, watcher.current, window_complete=True, window=WHOLE
    ).records


async def test_a_raised_limit_that_kafka_does_not_report_is_found_again(kafka):
    """An operator raises the limit after refusals; without the right to read settings only a trial can tell."""
    kafka.facts = HIDDEN
    watcher = watcher_of(HIDDEN, check_seconds=0.01, raise_seconds=0.02)
    for _ in range(12):
        await watcher.size_refused(SizeRefusal(TOPICS.events, watcher.current.max_batch_bytes))
    assert watcher.current.max_event_bytes < 10_000
    watching = asyncio.create_task(watcher.watch())
    async with asyncio.timeout(120):
        while watcher.current != TopicLimits():
            await asyncio.sleep(0.01)
    assert not watching.done()
    watching.cancel()
    await asyncio.wait({watching})


def test_a_refused_trial_returns_to_the_limit_before_it():
    """The topic accepts 300,000 bytes: what it accepted before makes no dead letter after the trial of more."""
    learned = LearnedLimits(raise_seconds=600)
    learned.refused(SizeRefusal(TOPICS.events, 500_000), 0)
    settled = learned.by_topic[TOPICS.events]
    for now in (599, 600, 601):
        learned.try_larger(now)
    assert learned.by_topic == {TOPICS.events: 2 * settled}
    learned.refused(SizeRefusal(TOPICS.events, 320_000), 700)

    assert learned.by_topic == {TOPICS.events: settled}


def test_a_refused_size_below_the_limit_before_a_trial_halves_it():
    """An operator has lowered the limit once more."""
    learned = LearnedLimits(raise_seconds=600)
    learned.refused(SizeRefusal(TOPICS.events, 500_000), 0)
    learned.try_larger(600)
    learned.refused(SizeRefusal(TOPICS.events, 200_000), 700)

    assert learned.by_topic == {TOPICS.events: 100_000}

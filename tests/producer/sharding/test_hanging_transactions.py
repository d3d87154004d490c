import asyncio

from aiokafka.cluster import ClusterMetadata
from hypothesis import given
from hypothesis import strategies as st

from producer.sharding import hanging_transactions
from producer.sharding.hanging_transactions import (
    StalledLsoDetector,
    WatchTiming,
    watch_hanging_transactions,
)
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, log_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TRANSACTION_SECONDS, TransactionalProducer, TransactionTiming

TP = TopicPartition("events", 0)
AT_ONCE = WatchTiming(check_seconds=0.0)


def stalled_by_check(*extents, step=2.0):
    """Return the findings of a watch that looks every `step` seconds at (committed end, log end)."""
    detector = StalledLsoDetector()
    return [
        detector.check({TP: LogBounds(0, committed, high)}, number * step)
        for number, (committed, high) in enumerate(extents)
    ]


def test_a_committed_end_that_does_not_move_is_found():
    """The watch finds it after longer than any transaction of the relay lasts."""
    found = stalled_by_check(*[(5, 8)] * 7)

    assert found == [set()] * 5 + [{TP}] * 2
    assert WatchTiming().stalled_seconds > TRANSACTION_SECONDS


def test_ends_that_move_are_not_found():
    """A busy partition is often below its end; equal ends have no open transaction."""
    assert not any(stalled_by_check(*[(number, number + 3) for number in range(20)]))
    assert not any(stalled_by_check(*[(8, 8)] * 20))


def test_a_transaction_that_ends_is_forgotten():
    """The next transaction has its own time."""
    assert not any(stalled_by_check(*([(5, 8)] * 4 + [(9, 9)] + [(9, 12)] * 4 + [(13, 13)])))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30), st.floats(0.1, 5))
def test_only_an_end_unmoved_for_the_whole_time_is_found(extents, step):
    """The claim holds for any sequence of ends."""
    extents = [(committed, max(committed, high)) for committed, high in extents]
    for number, found in enumerate(stalled_by_check(*extents, step=step)):
        since = [
            index for index in range(number + 1) if (number - index) * step >= WatchTiming().stalled_seconds
        ]
        stood = bool(since) and all(
            one[0] == extents[number][0] and one[0] < one[1] for one in extents[since[-1] : number + 1]
        )
        assert (TP in found) == stood


class FakeAssignment:
    def __init__(self, *numbers):
        self.numbers = list(numbers)
        self.reload_requested = asyncio.Event()
        self.reloaded = []
        self.in_transactions = set()

    def in_transaction(self, number):
        return number in self.in_transactions

    def reload(self, number):
        self.reloaded.append(number)
        self.reload_requested.set()


async def test_a_hanging_transaction_is_ended(kafka, prefix, monkeypatch):
    """The watch reloads the relay's shard and ends an edit, also one on the change history alone."""
    long = TransactionTiming(timeout_ms=600_000)  # so that Kafka itself ends none of them
    there = Connection(
        KafkaConfig(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, shards=3)
    )
    await create_missing_topics(there)
    topics, shards = Topics(prefix), FakeAssignment(0, 1)
    shards.in_transactions.add(0)  # its transaction is long, and its publisher ends it
    without_leader, leader_of = TopicPartition(topics.events, 0), ClusterMetadata.leader_for_partition
    monkeypatch.setattr(
        ClusterMetadata,
        "leader_for_partition",
        lambda cluster, tp: -1 if tp == without_leader else leader_of(cluster, tp),
    )
    hanging = []
    for name, topic, number in [
        ("mine", topics.progress, 1),
        ("busy", topics.progress, 0),
        ("theirs", topics.progress, 2),
        (f"{topics.organizations}.0", topics.organizations, 0),
        (f"{topics.organizations}.1", topics.changes, 0),
    ]:
        publisher = await TransactionalProducer.open(there, name, long)
        await publisher._producer.begin_transaction()
        await publisher._send([ProducerRecord(topic, number, b"acme", b"1")])
        hanging.append(publisher)
    task = asyncio.create_task(watch_hanging_transactions(there, topics, shards, WatchTiming(0.1, 0.5)))
    edited = [TopicPartition(topics.organizations, 0), TopicPartition(topics.changes, 0)]
    try:
        await asyncio.wait_for(shards.reload_requested.wait(), 120)
        async with standalone_consumer(there) as reader:
            while any(
                span.last_stable_offset < span.high_watermark
                for span in (await log_bounds(reader, edited)).values()
            ):
                await asyncio.sleep(0.1)
                assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task})
        for publisher in hanging:
            await publisher.discard()

    assert set(shards.reloaded) == {1}


async def test_the_watch_survives_any_error_of_a_look(monkeypatch):
    """The watch looks again after a Kafka outage, a client defect or an inner cancellation."""
    troubles = [TimeoutError(), KeyError("a connection"), asyncio.CancelledError(), RelayError("away")]
    looked_again = asyncio.Event()

    async def look(*_):
        if troubles:
            raise troubles.pop()
        looked_again.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(hanging_transactions, "_check_forever", look)
    task = asyncio.create_task(
        watch_hanging_transactions(
            Connection(KafkaConfig(bootstrap="127.0.0.1:1")), Topics("t"), FakeAssignment(0), AT_ONCE
        )
    )
    await asyncio.wait({task, asyncio.create_task(looked_again.wait())}, return_when="FIRST_COMPLETED")

    assert not task.done()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_without_transactions_the_watch_asks_nothing():
    """Event Hubs has no hanging transactions."""
    nowhere = Connection(KafkaConfig(bootstrap="127.0.0.1:1", profile="event-hubs"))
    task = asyncio.create_task(watch_hanging_transactions(nowhere, Topics("t"), FakeAssignment(0), AT_ONCE))
    await asyncio.sleep(0.1)

    assert not task.done()
    task.cancel()
    await asyncio.wait({task})

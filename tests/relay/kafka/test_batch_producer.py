"""Batches of one producer: the fate of each record, in brokers of several ages."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from relay.config.kafka import KafkaConfig
from relay.kafka.batch_producer import NOT_SENT, BatchLimits, BatchProducer
from relay.kafka.connection import Connection
from relay.kafka.topics import partition_of
from simulators.kafka.broker import METADATA, PRODUCE, SimulatedKafka
from tests.support.waiting import wait_until

LIMITS = BatchLimits(900_000)


@asynccontextmanager
async def producer_of(broker, **settings):
    connection = Connection(KafkaConfig(bootstrap=broker.bootstrap, **settings))
    producer = BatchProducer(connection, "none")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.discard(3)


def records(*numbers, key=b"acme"):
    return [(key, b"%d" % number, 1_700_000_000_000, [("relay.uid", b"%d" % number)]) for number in numbers]


async def write(producer, given, limits=LIMITS):
    results = [NOT_SENT] * len(given)
    await producer.write("jira", given, limits, results)
    return results


async def test_batches_stay_within_their_limits_and_in_order():
    """A record above the limit has a batch to itself."""
    async with SimulatedKafka(("jira",)) as broker, producer_of(broker) as producer:
        given = records(*range(20))
        assert await write(producer, given, BatchLimits(900_000, 7)) == [None] * 20
        assert broker.produced == 3
        assert await write(producer, records(20, 21), BatchLimits(1)) == [None] * 2
        assert broker.produced == 5
        assert broker.stored_uids("jira") == [str(number) for number in range(22)]


async def test_records_go_to_the_partition_of_their_key():
    """As Kafka's own clients choose it; a fault of one partition leaves the others alone."""
    async with SimulatedKafka() as broker, producer_of(broker) as producer:
        topic = broker.add_topic("jira", 5)
        given = [each for number in range(30) for each in records(number, key=b"org%d" % (number % 9))]
        topic.poisons.add("4")
        results = await write(producer, given)
        bad = partition_of(b"org4", 5)
        for (key, value, *_), result in zip(given, results, strict=True):
            assert (result is None) == (partition_of(key, 5) != bad), value
        assert producer.failed
        for number, partition in enumerate(topic.partitions):
            assert {partition_of(each.key, 5) for each in partition.records} <= {number}


async def test_a_broker_names_the_records_to_blame():
    """The others of the batch are not on the topic, and are not to blame."""
    async with SimulatedKafka(("jira",)) as broker, producer_of(broker) as producer:
        broker.topics["jira"].poisons |= {"1", "3"}
        results = await write(producer, records(*range(5)))
        assert [each.code for each in results] == [None, 87, None, 87, None]
        assert [each.records for each in results] == [0, 1, 0, 1, 0]
        assert "rejected by the broker" in results[1].text
        assert broker.stored("jira") == []


@pytest.mark.parametrize("version", [5, 7])
async def test_an_older_broker_names_none(version):
    """Its answer is about the batch."""
    async with SimulatedKafka(("jira",)) as broker:
        broker.versions[PRODUCE] = (3, version)
        async with producer_of(broker) as producer:
            broker.topics["jira"].poisons.add("1")
            results = await write(producer, records(*range(5)))
            assert [(each.state, each.code, each.records) for each in results] == [("refused", 87, 5)] * 5


async def test_batches_behind_a_refused_one_are_not_sent():
    """They would overtake its records."""
    async with SimulatedKafka(("jira",)) as broker, producer_of(broker) as producer:
        broker.topics["jira"].poisons.add("2")
        results = await write(producer, records(*range(6)), BatchLimits(900_000, 2))
        assert results[:2] == [None, None]
        assert results[2].code == 87
        assert results[3:] == [NOT_SENT] * 3


async def test_a_cancelled_write_knows_what_was_confirmed():
    """Records of the batch under way may be on the topic; those behind it are not."""
    async with SimulatedKafka(("jira",)) as broker, producer_of(broker) as producer:
        results = [NOT_SENT] * 6
        release = None

        async def hold_the_second():
            nonlocal release
            await wait_until(lambda: broker.produced == 1)
            release = broker.lose_answers()

        assert await write(producer, records(*range(2)), LIMITS) == [None, None]
        await hold_the_second()
        writing = asyncio.create_task(
            producer.write("jira", records(*range(2, 8)), BatchLimits(900_000, 2), results)
        )
        await wait_until(lambda: broker.produced == 2)
        writing.cancel()
        await asyncio.wait({writing})
        assert [each.state for each in results] == ["unanswered"] * 2 + ["not sent"] * 4
        assert producer.failed


@pytest.mark.parametrize("version", [5, 8])
async def test_the_access_to_topics_is_read_from_brokers_of_any_age(version):
    """Before Kafka 2.3 they do not report the operations."""
    async with SimulatedKafka(("jira", "read-only")) as broker:
        broker.versions[METADATA] = (1, version)
        broker.topics["read-only"].writable = False
        async with producer_of(broker) as producer:
            found = await producer.read_access(["jira", "read-only", "absent"])
    assert found.cluster_id == broker.cluster_id
    assert {name: each.error_code for name, each in found.topics.items()} == {
        "jira": 0,
        "read-only": 0,
        "absent": 3,
    }
    operations = [found.topics[name].operations for name in ("jira", "read-only")]
    assert operations == ([None, None] if version == 5 else [{"Write", "Describe"}, {"Describe"}])


async def test_without_idempotence_nothing_is_compressed():
    """The profile event-hubs has neither."""
    async with SimulatedKafka(("jira",)) as broker, producer_of(broker, profile="event-hubs") as producer:
        assert await write(producer, records(1, 2)) == [None, None]
        assert broker.stored_uids("jira") == ["1", "2"]

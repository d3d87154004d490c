"""The simulated broker: what it stores, refuses and stores once."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from simulators.kafka.broker import SimulatedKafka
from simulators.kafka.records import RecordBatch, StoredRecord
from simulators.kafka.topics import Partition, Topic, Verdict


async def produce(broker, *values, **options):
    """Write with aiokafka; raises what it raises."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", **options)
    try:
        await producer.start()
        for number, value in enumerate(values):
            await producer.send_and_wait(
                "jira",
                value,
                b"acme",
                headers=[("relay.uid", value)],
                timestamp_ms=1_700_000_000_000 + number,
            )
    finally:
        await producer.stop()


@pytest.mark.parametrize("codec", [None, "gzip"])
async def test_it_stores_what_a_client_sends(codec):
    """Key, value, time and headers of each record, in order."""
    async with SimulatedKafka(("jira",)) as broker:
        await produce(broker, b"a" * 300, b"b" * 300, compression_type=codec, enable_idempotence=True)
        first, second = broker.stored("jira")
    assert (first.key, first.value, first.timestamp) == (b"acme", b"a" * 300, 1_700_000_000_000)
    assert (second.uid, second.timestamp) == ("b" * 300, 1_700_000_000_001)


async def test_it_refuses_as_a_broker_does():
    """A record that is too large, one that the topic refuses, a codec that it lacks, and a topic without the right."""
    async with SimulatedKafka(("jira",)) as broker:
        topic = broker.topics["jira"]
        topic.max_message_bytes = 200
        with pytest.raises(KafkaError, match="MessageSizeTooLargeError"):
            await produce(broker, b"x" * 300)
        topic.poisons.add("bad")
        with pytest.raises(KafkaError):
            await produce(broker, b"bad")
        with pytest.raises(KafkaError):
            await produce(broker, b"y" * 5000, compression_type="zstd")
        topic.writable = False
        with pytest.raises(KafkaError, match="TopicAuthorizationFailedError"):
            await produce(broker, b"z")
        assert broker.stored("jira") == []


async def test_a_wrong_password_is_refused():
    login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": "relay"}
    async with SimulatedKafka(("jira",), "right") as broker:
        await produce(broker, b"a", **login, sasl_plain_password="right")
        with pytest.raises(KafkaError):
            await produce(broker, b"b", **login, sasl_plain_password="wrong")
        with pytest.raises(KafkaError):
            await produce(broker, b"c")
        assert broker.stored_uids("jira") == ["a"]


def batch(sequence, count, producer=1):
    return RecordBatch(10, producer, 0, sequence, [StoredRecord(b"k", b"v", 0, {})] * count)


def test_a_repeated_batch_is_stored_once_and_a_gap_is_refused():
    """A broker remembers the last batches of a producer."""
    partition = Partition()
    assert partition.append(batch(0, 2)) == Verdict(0, 0)
    assert partition.append(batch(2, 3)) == Verdict(0, 2)
    assert partition.append(batch(0, 2)) == Verdict(0, 0)
    assert partition.append(batch(6, 1)).code == 45
    assert partition.append(batch(0, 1, producer=2)) == Verdict(0, 5)
    assert len(partition.records) == 6


def test_a_producer_without_idempotence_is_not_compared():
    topic = Topic([Partition()])
    for _ in range(2):
        assert topic.store(0, batch(-1, 1, producer=-1)).code == 0
    assert len(topic.arrived) == 2

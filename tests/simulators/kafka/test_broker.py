"""The simulated broker against librdkafka: what it stores, refuses and stores once."""

import asyncio

import pytest
from confluent_kafka import Producer

from simulators.kafka.broker import SimulatedKafka
from simulators.kafka.records import RecordBatch, StoredRecord
from simulators.kafka.topics import Partition, Topic, Verdict


def produce(broker, values, **options):
    """Write with librdkafka; return the name of the error of each record, or None."""
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap, "message.timeout.ms": 20_000, "broker.address.family": "v4"}
        | options
    )
    errors = {}
    for number, value in enumerate(values):
        producer.produce(
            "jira",
            value,
            b"acme",
            headers=[("relay.uid", value)],
            timestamp=1_700_000_000_000 + number,
            on_delivery=lambda error, _, number=number: errors.update({number: error and error.name()}),
        )
    assert producer.flush(20) == 0
    return [errors[number] for number in range(len(values))]


@pytest.mark.parametrize("codec", ["none", "gzip"])
async def test_it_stores_what_another_client_sends(codec):
    """Key, value, time and headers of each record, in order."""
    async with SimulatedKafka(("jira",)) as broker:
        options = {"enable.idempotence": True, "compression.type": codec}
        assert await asyncio.to_thread(lambda: produce(broker, [b"a" * 300, b"b" * 300], **options)) == [
            None,
            None,
        ]
        first, second = broker.stored("jira")
    assert (first.key, first.value, first.timestamp) == (b"acme", b"a" * 300, 1_700_000_000_000)
    assert second.uid == "b" * 300


async def test_it_refuses_as_a_broker_does():
    """A record that is too large, one that the topic refuses, and a codec that it lacks."""
    async with SimulatedKafka(("jira",)) as broker:
        broker.topics["jira"].max_message_bytes = 200
        assert await asyncio.to_thread(produce, broker, [b"x" * 300]) == ["MSG_SIZE_TOO_LARGE"]
        broker.topics["jira"].poisons.add("bad")
        assert await asyncio.to_thread(produce, broker, [b"bad"]) == ["INVALID_RECORD"]
        compressed = await asyncio.to_thread(
            lambda: produce(broker, [b"y" * 5000], **{"compression.type": "lz4"})
        )
        assert compressed == ["UNSUPPORTED_COMPRESSION_TYPE"]
        assert broker.stored("jira") == []


async def test_a_wrong_password_is_refused():
    async with SimulatedKafka(("jira",), "right") as broker:
        options = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "relay"}
        right = await asyncio.to_thread(
            lambda: produce(broker, [b"a"], **options, **{"sasl.password": "right"})
        )
        assert right == [None]
        wrong = options | {"sasl.password": "wrong", "message.timeout.ms": 1500}
        assert await asyncio.to_thread(lambda: produce(broker, [b"b"], **wrong)) == ["_MSG_TIMED_OUT"]


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

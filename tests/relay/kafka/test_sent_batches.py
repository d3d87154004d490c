import asyncio
from collections import defaultdict
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from relay.kafka import TopicPartition
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.sent_batches import raise_refusal_of_size, send_in_batches
from relay.kafka.size_refusals import SizeRefusedError
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from tests.support.kafka import connection_to

MAX_REQUEST_BYTES = 1_000


class AnsweringProducer:
    """A producer whose batches of 200 bytes are answered at once: with a base offset, or with an error."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.batches = []

    def create_batch(self):
        return BatchBuilder(200, 0)

    async def send_batch(self, builder, topic, *, partition):
        self.batches.append((topic, partition, builder.record_count(), builder.closed()))
        acknowledgement = asyncio.get_running_loop().create_future()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            acknowledgement.set_exception(answer)
        else:
            acknowledgement.set_result(SimpleNamespace(offset=answer))
        return acknowledgement


def record(partition, size=50, topic="events"):
    return ProducerRecord(topic, partition, b"acme", b"v" * size, 1)


def publisher(producer):
    profile = SimpleNamespace(transactions=True, max_request_bytes=MAX_REQUEST_BYTES)
    client = SimpleNamespace(send=None)
    producer.client = client
    return TransactionalProducer(SimpleNamespace(profile=profile), producer, max_batch_bytes=200)


async def test_each_record_has_the_offset_of_its_place_in_its_batch():
    """Records of two partitions, in turn and in three batches, get their offsets in the order they were given in."""
    records = [record(0), record(1), record(0), record(1), record(0)]
    producer = AnsweringProducer(10, 20, 70)

    offsets = await publisher(producer)._send(records)

    assert producer.batches == [("events", 0, 2, True), ("events", 0, 1, True), ("events", 1, 2, True)]
    assert offsets == [10, 70, 11, 71, 20]


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([10, KafkaError("refused")], "refused"),
        ([10, -1], "took a batch for a duplicate"),
        ([10, 11], "the end of events, partition 0, was lost"),
    ],
)
async def test_an_error_of_one_batch_is_an_error_of_all(answers, text):
    """A failed batch, one without an offset, and one whose offset was assigned before: none passes for written."""
    records = [record(0), record(0), record(0)]

    with pytest.raises(KafkaError, match=text):
        await publisher(AnsweringProducer(*answers))._send(records)


async def test_a_record_above_the_limit_of_a_request_is_not_sent():
    """It is a refusal of its size, as a broker's is."""
    producer = AnsweringProducer()

    with pytest.raises(SizeRefusedError) as caught:
        await send_in_batches(producer, [record(0, MAX_REQUEST_BYTES)], MAX_REQUEST_BYTES)

    assert caught.value.refusal.sent_bytes == MAX_REQUEST_BYTES
    assert producer.batches == []


async def test_a_refusal_of_a_later_batch_names_its_topic():
    """A refusal for the size counts, whatever error another batch has."""
    records = [record(0), record(0, 300, "progress")]
    producer = AnsweringProducer(KafkaError("the transaction ended"), MessageSizeTooLargeError())
    batches = await send_in_batches(producer, records, MAX_REQUEST_BYTES)

    with pytest.raises(SizeRefusedError) as caught:
        raise_refusal_of_size(records, batches, 200)

    assert (caught.value.refusal.topic, caught.value.refusal.sent_bytes) == ("progress", 300)


async def test_a_transaction_of_several_batches_is_written_in_order(kafka, prefix):
    """Kafka has each record at the offset that was returned for it."""
    connection = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(connection)
    transactions = await TransactionalProducer.open(connection, f"{prefix}.0", max_batch_bytes=500)
    topic = Topics(prefix).events
    records = [ProducerRecord(topic, number % 2, b"acme", b"%d" % number * 90) for number in range(20)]

    offsets = await transactions.publish(records)
    await transactions.discard()
    written: dict[TopicPartition, list[bytes]] = defaultdict(list)
    async with standalone_consumer(connection) as reader:
        bounds = await stable_bounds(reader, [TopicPartition(topic, number) for number in (0, 1)])
        await read_to_end(
            reader,
            {tp: extent.log_start_offset for tp, extent in bounds.items()},
            {tp: extent.last_stable_offset for tp, extent in bounds.items()},
            lambda one: written[TopicPartition(topic, one.partition)].append(one.value),
        )

    assert offsets == [place // 2 for place in range(20)]
    assert [written[TopicPartition(topic, number)] for number in (0, 1)] == [
        [one.value for one in records[number::2]] for number in (0, 1)
    ]

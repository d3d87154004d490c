"""Offsets by time, on a real Kafka: the end markers of transactions have times too."""

from relay.kafka import TopicPartition
from relay.kafka.log_reader import stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.time_index import first_records, offsets_at
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from relay.timestamps import now_ms
from tests.support.kafka import connection_to


async def test_an_offset_by_time_is_that_of_a_record_and_not_of_a_marker(kafka, prefix):
    """Each transaction ends with a marker of now, which is later than the records behind it."""
    connection = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(connection)
    topic, began = Topics(prefix).events, now_ms() - 600_000
    publisher = await TransactionalProducer.open(connection, f"{prefix}.test")
    offsets = []
    for number in range(40):
        record = ProducerRecord(topic, 0, b"acme", b"%d" % number, began + 1000 * number)
        offsets += await publisher.publish([record])
    await publisher.discard()

    partitions = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    async with standalone_consumer(connection) as consumer:
        bounds = await stable_bounds(consumer, partitions)
        ends = {tp: each.last_stable_offset for tp, each in bounds.items()}
        found = {
            at: (await offsets_at(consumer, began + at, ends))[partitions[0]]
            for at in (-began - 5, 0, 1, 17_000, 17_001, 39_000, 39_001, 700_000)
        }
        empty = await offsets_at(consumer, began, ends)
        third = await first_records(consumer, {partitions[0]: offsets[1] + 1}, ends, lambda _: True)
        none = await first_records(consumer, dict.fromkeys(partitions, 0), ends, lambda each: not each.key)
    assert found == {
        -began - 5: offsets[0],
        0: offsets[0],
        1: offsets[1],
        17_000: offsets[17],
        17_001: offsets[18],
        39_000: offsets[39],
        39_001: ends[partitions[0]],
        700_000: ends[partitions[0]],
    }
    assert empty[partitions[1]] == ends[partitions[1]] == 0
    assert {tp: each.offset for tp, each in third.items()} == {partitions[0]: offsets[2]}
    assert none == {}

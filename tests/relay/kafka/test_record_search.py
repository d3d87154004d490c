"""The last record before an offset, on a real Kafka: of many partitions over one connection."""

from contextlib import asynccontextmanager

from relay.kafka import TopicPartition, record_search
from relay.kafka.producer import ProducerRecord
from relay.kafka.record_search import last_record_before, last_records_before
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from tests.support.kafka import connection_to


async def test_the_last_records_of_all_partitions_are_found_over_one_connection(kafka, prefix, monkeypatch):
    """An empty partition has none, and an offset behind the end counts as the end. A move of a destination asked each one alone."""
    connection = connection_to(kafka, prefix, shards=3)
    await create_missing_topics(connection)
    topic = Topics(prefix).events
    publisher = await TransactionalProducer.open(connection, f"{prefix}.test")
    near = [await publisher.publish([ProducerRecord(topic, 0, b"a", b"%d" % each)]) for each in range(3)]
    await publisher.publish([ProducerRecord(topic, 1, b"a", b"far")] * 2)
    await publisher.discard()
    opened, open_consumer = [], record_search.standalone_consumer

    @asynccontextmanager
    async def counted(asked):
        opened.append(asked)
        async with open_consumer(asked) as consumer:
            yield consumer

    monkeypatch.setattr(record_search, "standalone_consumer", counted)
    first, second, empty = (TopicPartition(topic, number) for number in range(3))
    found = await last_records_before(connection, {first: near[2][0], second: 99, empty: 5})
    assert {tp: (each.offset, each.value) for tp, each in found.items()} == {
        first: (near[1][0], b"1"),
        second: (1, b"far"),
    }
    assert len(opened) == 1
    assert await last_record_before(connection, first, near[0][0]) is None
    assert (await last_record_before(connection, first, near[0][0] + 1)).value == b"0"

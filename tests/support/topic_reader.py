"""Reads a topic with librdkafka: another client than the one that wrote it."""

import time
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


class ReadRecord(NamedTuple):
    """A record of a topic, as librdkafka reads it. `timestamp`: ms UTC."""

    partition: int
    key: bytes
    value: bytes
    timestamp: int
    headers: dict[str, bytes]


def read_topic(bootstrap: str, topic: str) -> list[ReadRecord]:
    """Return the records of a topic, partition by partition, from the beginning of each log to its present end."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
    )
    found: list[ReadRecord] = []
    try:
        for number in sorted(consumer.list_topics(topic, timeout=240).topics[topic].partitions):
            first, end = _bounds(consumer, TopicPartition(topic, number))
            consumer.assign([TopicPartition(topic, number, first)])
            position, until = first, time.monotonic() + 90
            while position < end:
                assert time.monotonic() < until, "the broker returns no records"
                for each in consumer.consume(1000, timeout=0.1):
                    assert each.error() is None, each.error()
                    pairs: Any = each.headers() or []
                    headers = dict(pairs)
                    value, key = each.value() or b"", each.key() or b""
                    found.append(ReadRecord(number, key, value, each.timestamp()[1], headers))
                    position = (each.offset() or 0) + 1
    finally:
        consumer.close()
    return found


def make_topics(bootstrap: str, *names: str, partitions: int = 1, **configs: str) -> None:
    """Create topics, and return once the broker knows their leaders; `configs` are their settings, with `_` for `.`."""
    settings = {name.replace("_", "."): value for name, value in configs.items()}
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made = admin.create_topics([NewTopic(each, partitions, 1, config=settings) for each in names])
    for each in made.values():
        each.result(60)
    until = time.monotonic() + 60
    while not all(_has_leaders(admin, each) for each in names):
        assert time.monotonic() < until, "the broker does not know the new topics"
        time.sleep(0.05)


def _has_leaders(admin: AdminClient, topic: str) -> bool:
    """Whether each partition of a topic has a leader. The controller creates a topic before its brokers know of it."""
    found = admin.list_topics(topic, timeout=60).topics[topic]
    return found.error is None and all(each.leader >= 0 for each in found.partitions.values())


def _bounds(consumer: Consumer, tp: TopicPartition, seconds: float = 60) -> tuple[int, int]:
    """Return first offset and end of a partition. A topic that is new has no leader for a moment."""
    end = time.monotonic() + seconds
    while True:
        try:
            first, last = consumer.get_watermark_offsets(tp, timeout=240)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return first, last

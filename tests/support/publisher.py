"""A publisher whose Kafka is a list, for tests without a broker."""

import asyncio
from collections import defaultdict

from prometheus_client import CollectorRegistry

import schemas
from producer.metrics import ProducerMetrics
from producer.publishing.publisher import ShardPublisher
from producer.publishing.shard_topics import ShardTopics
from producer.publishing.transaction_outcomes import TransactionOutcomes
from producer.state.shard_state import ShardState
from relay.avro.codec import Encoder, InternalCodec, fingerprint
from relay.kafka.producer import MAX_BATCH_BYTES
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_facts import TopicLimits
from relay.kafka.topics import Topics

TOPICS = Topics("in-memory")
SCHEMA = schemas.load("audit_event")
ENCODER = Encoder(SCHEMA, fingerprint(SCHEMA))


class InMemoryTransactions:
    """Commits transactions to `topics`. With `error_after_commit` set, a transaction is committed and then raises it."""

    def __init__(self):
        self.topics = defaultdict(list)
        self.max_batch_bytes = MAX_BATCH_BYTES
        self.error_after_commit = None
        self.busy = False
        self.pause = 0.0
        self.discarded = False

    async def publish(self, records, after_offsets=lambda _offsets: ()):
        assert not self.busy
        self.busy = True
        try:
            await asyncio.sleep(self.pause)
            offsets = []
            for record in records:
                offsets.append(len(self.topics[record.topic]))
                self.topics[record.topic].append(record)
            for record in after_offsets(offsets):
                self.topics[record.topic].append(record)
            if self.error_after_commit is not None:
                raise self.error_after_commit
            return offsets
        finally:
            self.busy = False

    async def discard(self):
        self.discarded = True

    def events(self, topic=TOPICS.events):
        codec = InternalCodec("audit_event")
        return [codec.decode(record.value) for record in self.topics[topic]]

    def ids(self, topic=TOPICS.events):
        return [event["id"] for event in self.events(topic)]


def in_memory_publisher(now_ms, transactions=None, max_event_bytes=4_000_000, metrics=None):
    transactions = transactions or InMemoryTransactions()
    metrics = metrics or ProducerMetrics(CollectorRegistry())
    topics = ShardTopics(TOPICS, 0, ENCODER)
    limits = TopicLimits(
        max_event_bytes,
        max_backfill_bytes=max_event_bytes,
        max_dead_letter_bytes=max_event_bytes,
        max_progress_bytes=max_event_bytes,
    )
    return ShardPublisher(
        transactions, ShardState(), topics, lambda: limits, metrics, now_ms, TransactionOutcomes()
    ), transactions


def publish_error(*, fenced=False):
    return PublishError("Kafka did not answer.", fenced=fenced)

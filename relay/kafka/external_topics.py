"""Topics that other programs read: of another cluster, or of the relay's own beside the relay's topics.

The one module of this room that a destination may import.
"""

import asyncio
from collections.abc import Collection, Sequence

from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka import KAFKA_FAILURES
from relay.kafka.batch_producer import (
    NOT_SENT,
    BatchLimits,
    BatchProducer,
    Compression,
    KeyedRecord,
    WriteError,
)
from relay.kafka.connection import Connection, KafkaUnreachableError
from relay.kafka.diagnostics.probe import ProbeTiming
from relay.kafka.topic_access import ClusterAccess, TopicAccess, read_cluster_id
from relay.kafka.topics import Topics

__all__ = [
    "KAFKA_FAILURES",
    "NOT_SENT",
    "BatchLimits",
    "BatchProducer",
    "ClusterAccess",
    "Compression",
    "KafkaUnreachableError",
    "KeyedRecord",
    "OwnTopicError",
    "TopicAccess",
    "WriteError",
    "find_fault",
    "new_producer",
    "refuse_own_topics",
    "start_producer",
]


class OwnTopicError(RelayError):
    """A topic is one of the relay's own: its events would come back for ever, or its state would be overwritten."""


def refuse_own_topics(target: KafkaConfig, own: KafkaConfig, topics: Collection[str]) -> None:
    """Raise OwnTopicError if one of `topics` is the relay's own, by the names of the brokers in the settings."""
    if target.bootstrap is None or own.bootstrap is None:
        return
    if set(target.bootstrap.split(",")) & set(own.bootstrap.split(",")):
        _refuse(own, topics)


def new_producer(target: KafkaConfig, client_id: str, compression: Compression) -> BatchProducer:
    """Return a producer that `start` starts; the caller discards it. Raises RelayError for certificate files."""
    return BatchProducer(Connection(target, client_id), compression)


async def start_producer(
    producer: BatchProducer, own: KafkaConfig | None, topics: Sequence[str]
) -> ClusterAccess:
    """Start a producer for `topics`, and return what the brokers report of them.

    `own`: the relay's own cluster; None: it is not known. A cluster may have several names, so the ids of both clusters are
    compared if a topic has the name of one of the relay's. May wait without end: the caller bounds it.

    Raises OwnTopicError, or KAFKA_FAILURES.
    """
    await producer.start()
    access = await producer.read_access(topics)
    if own is not None and set(topics) & set(Topics(own.topic_prefix).all):
        own_id = await read_cluster_id(Connection(own), seconds=10)
        if own_id is None or own_id == access.cluster_id:
            _refuse(own, topics)
    return access


async def find_fault(target: KafkaConfig, seconds: float) -> KafkaUnreachableError | None:
    """Return why no broker accepts the connection; None: one does, or that is not known within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await Connection(target).verify(ProbeTiming(step_seconds=seconds / 2, broker_seconds=seconds))
    except KafkaUnreachableError as fault:
        return fault
    except KAFKA_FAILURES:
        return None
    return None


def _refuse(own: KafkaConfig, topics: Collection[str]) -> None:
    taken = sorted(set(topics) & set(Topics(own.topic_prefix).all))
    if taken:
        raise OwnTopicError(
            f"The topic {taken[0]} is one of the relay's own, on the relay's own cluster: events would come back without end."
            " Choose another topic."
        )

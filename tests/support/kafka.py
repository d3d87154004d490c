"""Connections, records and tasks of a Kafka client."""

import asyncio
from typing import Any

from embedded import EmbeddedKafka
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics

STEADY = {"broker.session.timeout.ms": "60000", "broker.heartbeat.interval.ms": "10000"}
"""Of a broker that no test kills or stops. With the 2 s of a fast restart, a busy machine that delays its heartbeats fences it, and no
partition has a leader. The heartbeats of a fast restart cost as much as all else of an idle broker."""


PATIENCE = 8.0
"""Of a client of a broker that no test kills or stops: on a machine that stops for a minute, no answer is late."""


def connection_to(
    kafka: EmbeddedKafka, prefix: str, *, patience: float = PATIENCE, **settings: Any
) -> Connection:
    """Return a connection to a broker. `patience` 1.0: the time limits of the product, for a broker that stops to answer."""
    config = KafkaConfig(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, **settings)
    return Connection(config, patience=patience)


def event(prefix: str, value: bytes = b"1") -> ProducerRecord:
    return ProducerRecord(Topics(prefix).events, 0, b"acme", value)


def aiokafka_tasks() -> set["asyncio.Task[Any]"]:
    """Return the running tasks of aiokafka."""
    return {task for task in asyncio.all_tasks() if not task.done() and "aiokafka" in repr(task.get_coro())}

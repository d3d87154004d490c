import asyncio

from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics


def connection_to(kafka, prefix, **settings):
    return Connection(
        KafkaConfig(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, **settings)
    )


def event(prefix, value=b"1"):
    return ProducerRecord(Topics(prefix).events, 0, b"acme", value)


def aiokafka_tasks():
    """Return the running tasks of aiokafka."""
    return {task for task in asyncio.all_tasks() if not task.done() and "aiokafka" in repr(task.get_coro())}

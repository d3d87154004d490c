import asyncio

from relay.config.kafka import Kafka
from relay.kafka.connection import Connection
from relay.kafka.producer import Outgoing
from relay.kafka.topics import Topics


def connection(kafka, prefix, **settings):
    return Connection(Kafka(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, **settings))


def event(prefix, value=b"1"):
    return Outgoing(Topics(prefix).events, 0, b"acme", value)


def of_aiokafka():
    """What runs of aiokafka."""
    return {task for task in asyncio.all_tasks() if not task.done() and "aiokafka" in repr(task.get_coro())}

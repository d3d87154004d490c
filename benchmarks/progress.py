"""Write the progress of organizations that were polled for a week, as a producer leaves it behind."""

import random
import time
from uuid import NAMESPACE_URL, uuid5

from producer.state import checkpoint as checkpoints
from producer.state.ledger import Ledger, LedgerDelta
from relay.avro.codec import InternalCodec
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics, partition_of
from relay.kafka.transactions import TransactionalProducer
from relay.timestamps import DAY_MS

DAYS = 7


def cloud_id(name: str) -> str:
    """Return the id that the site of an organization has."""
    return str(uuid5(NAMESPACE_URL, name))


def progress_records(name: str, events_a_day: int, topic: str, shards: int, now: int) -> list[ProducerRecord]:
    """Return the checkpoint and the ledgers of an organization that was polled until now; ids grow with the time."""
    rng = random.Random(name)
    first = rng.randrange(10_000, 10_000_000)
    events = [
        {
            "id": first + 3 * number + rng.randrange(3),
            "created": now - DAYS * DAY_MS + number * DAY_MS // events_a_day,
        }
        for number in range(DAYS * events_a_day)
    ]
    ledger = Ledger(name)
    ledger.commit(ledger.plan(events))
    whole = LedgerDelta(ledger.days, 0)  # adds no id: the events themselves are not on the topics
    values = {
        key: InternalCodec("day_ledger").encode(record)
        for key, record in ledger.to_records(whole).items()
        if record is not None
    }
    checkpoint = checkpoints.new_checkpoint(name, now, now=now, cloud_id=cloud_id(name))
    values[name] = InternalCodec("checkpoint").encode(checkpoint.to_record())
    partition = partition_of(name, shards)
    return [ProducerRecord(topic, partition, key.encode(), value, now) for key, value in values.items()]


async def put_progress(connection: Connection, count: int, port: int, events_a_day: int) -> int:
    """Write the progress of `count` organizations. Return its bytes."""
    topic, now, size = Topics(connection.kafka.topic_prefix).progress, time.time_ns() // 1_000_000, 0
    publisher = await TransactionalProducer.open(connection, "progress")
    for start in range(0, count, 200):
        records = []
        for number in range(start, min(start + 200, count)):
            name = f"127.1.{number // 250}.{number % 250 + 1}:{port}"
            records += progress_records(name, events_a_day, topic, connection.kafka.shards, now)
        size += sum(len(one.value or b"") for one in records)
        await publisher.publish(records)
    await publisher.discard()
    return size

"""The history of changes of destinations, on the topic that has those of organizations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from relay.avro.codec import InternalCodec
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator changed of a destination, at `at` (ms UTC). `before` and `after`: facts without secrets; None: no facts."""

    destination: str
    who: str
    at: int
    what: str
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None


def change_key(destination: str) -> str:
    """Return the key of a destination's changes; no organization can have this name."""
    return f"destination/{destination}"


async def record_change(connection: Connection, change: Change) -> None:
    """Write a change to the history. Raises TopicWriteError if Kafka does not confirm it."""
    key = change_key(change.destination)
    value = InternalCodec("change").encode(
        {
            "organization": key,
            "at": change.at,
            "who": change.who,
            "what": change.what,
            "before": None if change.before is None else json.dumps(change.before),
            "after": None if change.after is None else json.dumps(change.after),
        }
    )
    async with RecordWriter(connection) as writer:
        await writer.send(Topics(connection.kafka.topic_prefix).changes, key.encode(), value, partition=0)

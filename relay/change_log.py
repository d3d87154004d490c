"""Write to the history of changes: who did what to which object, and when."""

import json
from collections.abc import Mapping

from relay.avro.codec import InternalCodec
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics

ChangeFacts = Mapping[str, object]


async def write_change(
    connection: Connection,
    key: str,
    who: str,
    at: int,
    what: str,
    before: ChangeFacts | None = None,
    after: ChangeFacts | None = None,
) -> None:
    """Write a change of the object `key` at `at` (ms UTC). `before` and `after`: facts without secrets; None: no facts.

    Raises TopicWriteError if Kafka does not confirm it.
    """
    value = InternalCodec("change").encode(
        {
            "organization": key,
            "at": at,
            "who": who,
            "what": what,
            "before": None if before is None else json.dumps(before),
            "after": None if after is None else json.dumps(after),
        }
    )
    async with RecordWriter(connection) as writer:
        await writer.send(Topics(connection.kafka.topic_prefix).changes, key.encode(), value, partition=0)

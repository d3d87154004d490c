"""A search for secrets in data that the relay has written, in any encoding."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from urllib.parse import quote

from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import partitions_of, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics

FRAGMENT_LENGTH = 12
_LONG_ZEROS = re.compile(rb"\0{64,}")
"""Kafka fills its index files with megabytes of zeros, which no secret holds."""


def find_leaks(secrets: Mapping[str, str], data: bytes) -> list[str]:
    """Return the names of the secrets of which the data holds a fragment."""
    dense = _LONG_ZEROS.sub(b"\0", data)
    return [name for name, secret in secrets.items() if any(trace in dense for trace in fragments(secret))]


@cache
def fragments(secret: str) -> set[bytes]:
    """Return fragments, plain and encoded. Text with some 20 consecutive characters of the secret holds at least one."""
    forms = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), *_in_base64(secret.encode())}
    return {piece.encode() for form in forms for piece in _slices(form)}


def _slices(form: str) -> list[str]:
    return [
        form[start : start + FRAGMENT_LENGTH]
        for start in range(0, max(1, len(form) - FRAGMENT_LENGTH + 1), FRAGMENT_LENGTH // 2)
    ]


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield the base64 of the secret between other bytes, for each of the three alignments."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret).decode().rstrip("=")
        inner = whole[(4 * before + 2) // 3 : len(whole) - 1]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))


async def read_topics(connection: Connection) -> bytes:
    """Return every key, value and header of the relay's topics as readers get them: on disk they are compressed."""
    topics = Topics(connection.kafka.topic_prefix)
    records: list[Record] = []
    async with standalone_consumer(connection) as reader:
        for topic in (
            *topics.sharded,
            topics.status,
            topics.changes,
            topics.destinations,
            topics.replays,
            topics.schemas,
        ):
            partitions = [TopicPartition(topic, number) for number in await partitions_of(reader, topic)]
            bounds = await stable_bounds(reader, partitions)
            starts = {place: bounds[place].log_start_offset for place in partitions}
            await read_to_end(
                reader,
                starts,
                {place: bounds[place].last_stable_offset for place in partitions},
                records.append,
            )
    assert records
    return b"\n".join(part for record in records for part in _parts(record))


def _parts(record: Record) -> Iterator[bytes]:
    yield from (record.key or b"", record.value or b"")
    yield from (part for name, value in record.headers for part in (name.encode(), value))

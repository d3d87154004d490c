"""Looking for secrets in what the relay has left behind, whatever form they took on the way."""

import base64
import json
from urllib.parse import quote

from relay.kafka import TopicPartition
from relay.kafka.log_reader import partitions_of, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics

FRAGMENT_LENGTH = 12


def find_leaks(secrets, data):
    """Names of those secrets (by name) of which a piece stands in the data."""
    return [name for name, secret in secrets.items() if any(trace in data for trace in fragments(secret))]


def fragments(secret):
    """Of any text that holds some twenty characters of the secret in a row, plain or encoded, one of these is a part."""
    forms = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), *_in_base64(secret.encode())}
    return {piece.encode() for form in forms for piece in _slices(form)}


def _slices(form):
    return [
        form[start : start + FRAGMENT_LENGTH]
        for start in range(0, max(1, len(form) - FRAGMENT_LENGTH + 1), FRAGMENT_LENGTH // 2)
    ]


def _in_base64(secret):
    """What base64 makes of it in the midst of other bytes, by how many of them stand before it."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret).decode().rstrip("=")
        inner = whole[(4 * before + 2) // 3 : len(whole) - 1]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))


async def read_topics(connection):
    """Every key, value and header on our topics, as readers get them: on Kafka's disk they are compressed."""
    topics = Topics(connection.kafka.topic_prefix)
    records = []
    async with standalone_consumer(connection) as reader:
        for topic in (*topics.sharded, topics.status, topics.changes, topics.schemas):
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


def _parts(record):
    yield from (record.key or b"", record.value or b"")
    yield from (part for name, value in record.headers for part in (name.encode(), value))

"""What is found in Kafka and at the sink when all is over."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import partitions_of, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics
from sandbox.expected import Json
from sandbox.verdict import Evidence, Landed, Stored
from simulators.azure.world import HISTORY, LIVE, AzureWorld


async def gather(
    truth: Mapping[str, Sequence[Json]],
    connection: Connection,
    azure: AzureWorld,
    known: Iterable[str] = (),
) -> Evidence:
    """Everything read anew, from its beginning; `known` remarks come first.

    Raises RelayError where Kafka does not let itself be read.
    """
    topics = Topics(connection.kafka.topic_prefix)
    remarks = Counter(known)
    codec = InternalCodec("audit_event")
    landed = []
    for record in await _all(connection, (topics.events, topics.backfill, topics.dead_letters)):
        if record.topic == topics.dead_letters:
            remarks[_dead_letter(record)] += 1
            continue
        try:
            event = codec.decode(record.value or b"")
            landed.append(Landed((record.key or b"").decode(), event, record.topic == topics.backfill))
        except (NotAvro, UnknownSchema, BadBody, UnicodeDecodeError) as error:
            remarks[f"On {record.topic} stands what is no event of ours: {error}."] += 1
    remarks.update(_losses(azure))
    told = (f"{text} ({count} times)" if count > 1 else text for text, count in remarks.items())
    return Evidence(truth, landed, stored(azure), tuple(told))


def stored(azure: AzureWorld) -> list[Stored]:
    doubtful = {call.request_id for call in azure.calls if call.stored and call.status != 204}
    return [
        Stored(arrival.row, table == HISTORY, arrival.request_id in doubtful)
        for table in (LIVE, HISTORY)
        for arrival in azure.table(table).arrivals
    ]


def write_rows(azure: AzureWorld, directory: Path) -> None:
    """The rows of each table as JSON lines, for whoever wants to look closer."""
    for table in (LIVE, HISTORY):
        lines = (json.dumps(row) + "\n" for row in azure.rows(table))
        (directory / f"{table}.jsonl").write_text("".join(lines), "utf-8")


def _losses(azure: AzureWorld) -> Iterable[str]:
    losses = azure.losses
    for how, columns in (
        ("has no such column", losses.dropped),
        ("a value does not fit the column's type", losses.nulled),
        ("a value is too long", losses.truncated),
    ):
        for column, count in columns.items():
            yield f"The sink lost {count} values of {column} without a word: {how}."


def _dead_letter(record: Record) -> str:
    organization = (record.key or b"").decode(errors="replace")
    reason = dict(record.headers).get("relay.reason", b"no reason").decode(errors="replace")
    try:
        which = f"record {json.loads(record.value or b'')['id']}"
    except (ValueError, LookupError, TypeError):
        which = "a record"
    return f"Among the dead letters of {organization} stands {which}: {reason}."


async def _all(connection: Connection, topics: Iterable[str]) -> list[Record]:
    """Every committed record of these topics."""
    found: list[Record] = []
    async with standalone_consumer(connection) as consumer:
        places = [TopicPartition(topic, n) for topic in topics for n in await partitions_of(consumer, topic)]
        extents = await stable_bounds(consumer, places)
        starts = {place: extent.log_start_offset for place, extent in extents.items()}
        ends = {place: extent.last_stable_offset for place, extent in extents.items()}
        await read_to_end(consumer, starts, ends, found.append)
    return found

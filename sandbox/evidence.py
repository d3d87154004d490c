"""Events in Kafka and rows at the destination, collected for the verdict."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import partitions_of, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics
from sandbox.expected import JsonObject
from sandbox.verdict import DeliveredRow, Evidence, PublishedEvent
from simulators.azure.world import HISTORY, LIVE, AzureWorld


async def collect_evidence(
    truth: Mapping[str, Sequence[JsonObject]],
    connection: Connection,
    azure: AzureWorld,
    known_remarks: Iterable[str] = (),
) -> Evidence:
    """Read every topic from its beginning, and every row at the destination; `known_remarks` come first.

    Raises RelayError when Kafka cannot be read.
    """
    topics = Topics(connection.kafka.topic_prefix)
    remarks = Counter(known_remarks)
    codec = InternalCodec("audit_event")
    events = []
    for record in await _read_all(connection, (topics.events, topics.backfill, topics.dead_letters)):
        if record.topic == topics.dead_letters:
            remarks[_describe_dead_letter(record)] += 1
            continue
        try:
            event = codec.decode(record.value or b"")
            events.append(
                PublishedEvent((record.key or b"").decode(), event, record.topic == topics.backfill)
            )
        except (NotAvro, UnknownSchema, BadBody, UnicodeDecodeError) as error:
            remarks[f"A message on {record.topic} is not an event of the relay: {error}."] += 1
    remarks.update(_describe_losses(azure))
    texts = (f"{text} ({count} times)" if count > 1 else text for text, count in remarks.items())
    return Evidence(truth, events, delivered_rows(azure), tuple(texts))


def delivered_rows(azure: AzureWorld) -> list[DeliveredRow]:
    """Return the stored rows of both tables, live first. A row of a lost answer is unacknowledged."""
    unacknowledged = {call.request_id for call in azure.calls if call.stored and call.status != 204}
    return [
        DeliveredRow(arrival.row, table == HISTORY, arrival.request_id in unacknowledged)
        for table in (LIVE, HISTORY)
        for arrival in azure.table(table).stored_rows
    ]


def write_rows(azure: AzureWorld, directory: Path) -> None:
    """Write the rows of each table to a file of JSON lines in `directory`."""
    for table in (LIVE, HISTORY):
        lines = (json.dumps(row) + "\n" for row in azure.rows(table))
        (directory / f"{table}.jsonl").write_text("".join(lines), "utf-8")


def _describe_losses(azure: AzureWorld) -> Iterable[str]:
    losses = azure.losses
    for how, columns in (
        ("the table has no such column", losses.dropped),
        ("the value does not fit the column's type", losses.nulled),
        ("the value is too long", losses.truncated),
    ):
        for column, count in columns.items():
            yield f"The destination silently lost {count} values of {column}: {how}."


def _describe_dead_letter(record: Record) -> str:
    organization = (record.key or b"").decode(errors="replace")
    reason = dict(record.headers).get("relay.reason", b"no reason").decode(errors="replace")
    try:
        which = f"record {json.loads(record.value or b'')['id']}"
    except (ValueError, LookupError, TypeError):
        which = "a record"
    return f"The dead letters of {organization} have {which}: {reason}."


async def _read_all(connection: Connection, topics: Iterable[str]) -> list[Record]:
    """Return every committed record of the topics."""
    found: list[Record] = []
    async with standalone_consumer(connection) as consumer:
        partitions = [
            TopicPartition(topic, n) for topic in topics for n in await partitions_of(consumer, topic)
        ]
        bounds = await stable_bounds(consumer, partitions)
        starts = {place: extent.log_start_offset for place, extent in bounds.items()}
        ends = {place: extent.last_stable_offset for place, extent in bounds.items()}
        await read_to_end(consumer, starts, ends, found.append)
    return found

"""Events in Kafka and rows at the destinations, collected for the verdict."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.dead_letters.letter import parse_letter
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import partitions_of, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics
from sandbox.destinations.contract import DestinationPeer
from sandbox.expected import JsonObject
from sandbox.replay_verdict import PlayedReplay, ReplayEvidence
from sandbox.verdict import DestinationEvidence, Evidence, PublishedEvent


async def collect_evidence(
    truth: Mapping[str, Sequence[JsonObject]],
    connection: Connection,
    destinations: Mapping[str, DestinationPeer],
    known_remarks: Iterable[str] = (),
    replays: Mapping[str, PlayedReplay] | None = None,
) -> Evidence:
    """Read every topic from its beginning, and every row at the destinations; `known_remarks` come first.

    `replays`: those that were played, by destination; rows that came since are evidence of them. Raises RelayError when Kafka
    cannot be read.
    """
    topics = Topics(connection.kafka.topic_prefix)
    remarks = Counter(known_remarks)
    events = await read_events(connection, remarks)
    for record in await _read_all(connection, (topics.dead_letters,)):
        if not parse_letter(record).is_mark:
            remarks[_describe_dead_letter(record)] += 1
    for peer in destinations.values():
        remarks.update(peer.losses())
    texts = (f"{text} ({count} times)" if count > 1 else text for text, count in remarks.items())
    played = replays or {}
    found = {name: _found_at(peer, played.get(name)) for name, peer in destinations.items()}
    return Evidence(truth, events, found, tuple(texts))


async def read_events(connection: Connection, remarks: Counter[str] | None = None) -> list[PublishedEvent]:
    """Return every event of both topics. `remarks` gets a sentence for each other message. Raises RelayError."""
    topics = Topics(connection.kafka.topic_prefix)
    codec = InternalCodec("audit_event")
    events = []
    for record in await _read_all(connection, (topics.events, topics.backfill)):
        try:
            event = codec.decode(record.value or b"")
            events.append(
                PublishedEvent((record.key or b"").decode(), event, record.topic == topics.backfill)
            )
        except (NotAvro, UnknownSchema, BadBody, UnicodeDecodeError) as error:
            if remarks is not None:
                remarks[f"A message on {record.topic} is not an event of the relay: {error}."] += 1
    return events


def _found_at(peer: DestinationPeer, replay: PlayedReplay | None) -> DestinationEvidence:
    live, history = peer.rows(history=False), peer.rows(history=True)
    if replay is None:
        return DestinationEvidence([*live, *history], peer.compare)
    before = replay.before
    return DestinationEvidence(
        [*live[: before.live], *history[: before.history]],
        peer.compare,
        ReplayEvidence(replay, live[before.live :], history[before.history :], peer.keeps_one_copy),
    )


def write_rows(destinations: Mapping[str, DestinationPeer], directory: Path) -> None:
    """Write the rows of each destination and flow to a file of JSON lines in `directory`: `NAME-PLACE.jsonl`."""
    for name, peer in destinations.items():
        for history in (False, True):
            lines = (json.dumps(one.row) + "\n" for one in peer.rows(history=history))
            (directory / f"{name}-{peer.place(history=history)}.jsonl").write_text("".join(lines), "utf-8")


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

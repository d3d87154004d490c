"""Events in Kafka and rows at the destinations, collected for the verdict."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.dead_letters.letter import parse_letter
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import partitions_of, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics
from relay.replays.store import ReplayStore
from sandbox.destinations.contract import DeliveredRow, DestinationPeer
from sandbox.expected import JsonObject
from sandbox.replay_verdict import PlayedReplay, ReplayEvidence, RowCounts
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
    played = replays or {}
    by_hand = set((await ReplayStore(connection, topics.replays).read()).jobs) - {
        each.id for each in played.values()
    }
    events = await read_events(connection, remarks)
    for record in await _read_all(connection, (topics.dead_letters,)):
        if not parse_letter(record).is_mark:
            remarks[_describe_dead_letter(record)] += 1
    for peer in destinations.values():
        remarks.update(peer.losses())
    texts = (f"{text} ({count} times)" if count > 1 else text for text, count in remarks.items())
    found = {name: found_at(peer, played.get(name), by_hand) for name, peer in destinations.items()}
    left_out = (
        f"{len(each.by_hand):,} rows at {name} are of replays that somebody started; they are not judged."
        for name, each in found.items()
        if each.by_hand
    )
    return Evidence(truth, events, found, (*texts, *left_out))


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


def found_at(
    peer: DestinationPeer, replay: PlayedReplay | None, by_hand: Collection[str]
) -> DestinationEvidence:
    """Return the rows of a destination. `by_hand`: the ids of other replays than the played one."""
    live, history = peer.rows(history=False), peer.rows(history=True)
    first = RowCounts(len(live), len(history)) if replay is None else replay.before

    def judged(rows: Sequence[DeliveredRow]) -> list[DeliveredRow]:
        return [each for each in rows if not _names_one_of(by_hand, each.row)]

    others = [each for each in (*live, *history) if _names_one_of(by_hand, each.row)]
    played = None
    if replay is not None:
        since = judged(live[first.live :]), judged(history[first.history :])
        played = ReplayEvidence(replay, *since, peer.keeps_one_copy)
    earlier = judged([*live[: first.live], *history[: first.history]])
    return DestinationEvidence(earlier, peer.compare, played, others)


def _names_one_of(replays: Collection[str], value: object) -> bool:
    """Return whether a row has the id of one of these replays, which each format writes into a place of its own."""
    match value:
        case str():
            return value in replays
        case Mapping():
            return bool(replays) and any(_names_one_of(replays, each) for each in value.values())
        case list() | tuple():
            return any(_names_one_of(replays, each) for each in value)
    return False


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

"""The events of some days, as both event topics have them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
from polars.exceptions import PanicException

from consumer.decoding.columns import decode
from consumer.decoding.event_rules import compile_rules
from consumer.destinations.contract import DestinationConfig
from management.completeness.canonical import EventKey, event_key
from management.completeness.seen_records import SeenRecord, SeenRecords
from management.decoding import RecordDecoder, open_decoder
from management.events.stored_event import EventAddress, short_name
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import SettingsError
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    CorruptBatchError,
    read_batches,
    stable_bounds,
    standalone_consumer,
)
from relay.kafka.time_index import first_records, offsets_at
from relay.kafka.topic_admin import read_topic_facts
from relay.kafka.topic_facts import retention_ms
from relay.kafka.topics import Topics
from relay.replays.refill import replay_of
from relay.timestamps import DAY_MS, day_of, day_start

SLACK_MS = DAY_MS
"""Events of a day are looked for from a day before its begin: the relay's clock may have been behind that of the audit log.

Where it was further behind, the day seems to lack them; then they are looked for in the whole log.
"""
_DEFECTS = (Exception, PanicException)


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event and its place. `left_out`: the destinations whose filter leaves it out, as the settings are now."""

    key: EventKey
    place: EventAddress
    collected: int
    left_out: frozenset[str] = frozenset()
    variant: str | None = None

    def uid(self, organization: str) -> str:
        """Return the EventUid that rows have."""
        return f"{organization}/{self.key.id}{'' if self.variant is None else f'/{self.variant}'}"


@dataclass(slots=True)
class PassedDay:
    """What was found of a day that is not counted. `collected`: when its last event was (ms UTC); `offsets`: the last by partition."""

    collected: int = 0
    offsets: dict[str, int] = field(default_factory=dict)

    def add(self, collected: int, place: EventAddress) -> None:
        self.collected = max(collected, self.collected)
        self.offsets[partition_name(place)] = max(
            place.offset, self.offsets.get(partition_name(place), place.offset)
        )


def partition_name(place: EventAddress) -> str:
    """Return the partition as seals name it, such as `events/3`."""
    return f"{place.topic}/{place.partition}"


@dataclass(slots=True)
class TopicScan:
    """What both topics have of one partition. `kept_from`: days that begin then or later have lost nothing to retention (ms UTC)."""

    events: dict[tuple[str, str], list[PlacedEvent]] = field(default_factory=dict)
    """By organization and day (of `created`), in no order."""
    passed: dict[tuple[str, str], PassedDay] = field(default_factory=dict)
    """The other days of which an event was found on the way, by organization and day."""
    undecodable: dict[str, int] = field(default_factory=dict)
    """Records that cannot be decoded, by organization."""
    corrupt: list[str] = field(default_factory=list)
    kept_from: int = 0
    begins: list[EventAddress] = field(default_factory=list)
    """The first place of each topic."""

    def is_kept(self, day: str) -> bool:
        return day_start(day) >= self.kept_from


async def scan_topics(
    connection: Connection,
    registry: SchemaRegistryConfig,
    destinations: Mapping[str, DestinationConfig],
    partition: int,
    wanted: Mapping[str, Collection[str]],
    now_ms: int,
    seen: SeenRecords,
    *,
    whole: bool = False,
) -> TopicScan:
    """Return the events of organizations of one partition, in one pass. `wanted`: the days of each. `seen`: what earlier ones decoded.

    `whole`: read from the beginning of the log, whatever the times of the records are. Events that are there for one replay alone are left out. Raises an error of KAFKA_FAILURES, or RelayError.
    """
    topics, scan = Topics(connection.kafka.topic_prefix), TopicScan()
    facts = await read_topic_facts(connection)
    tps = [TopicPartition(topic, partition) for topic in (topics.events, topics.backfill)]
    async with open_decoder(registry, connection) as decoder, standalone_consumer(connection) as consumer:
        bounds = await stable_bounds(consumer, tps)
        ends = {tp: each.last_stable_offset for tp, each in bounds.items()}
        begins = {tp: each.log_start_offset for tp, each in bounds.items()}
        scan.begins = [
            EventAddress(short_name(topics, tp.topic), tp.partition, begin) for tp, begin in begins.items()
        ]
        oldest = await first_records(consumer, begins, ends, lambda _: True)
        for tp in (each for each in tps if begins[each]):
            first_at = oldest[tp].timestamp if tp in oldest else now_ms
            kept = kept_from(first_at, retention_ms(facts.config(tp.topic)), now_ms)
            scan.kept_from = max(scan.kept_from, kept)
        first = min(day for days in wanted.values() for day in days)
        try:
            starts = begins if whole else await offsets_at(consumer, day_start(first) - SLACK_MS, ends)
        except KafkaError:  # a damaged batch makes Kafka's search by time fail: everything is read then
            starts = begins
        reader = _Reader(scan, topics, decoder, destinations, wanted, seen)
        starts = {tp: max(begins[tp], start) for tp, start in starts.items()}
        async for records in read_batches(consumer, starts, ends, on_corrupt=reader.note_corrupt):
            await reader.take(records)
    return scan


def kept_from(oldest: int, retention: int | None, now_ms: int) -> int:
    """Return the instant from which on a partition without the beginning of its log has all that was written to it. In ms UTC.

    It is that of the oldest record, or the end of the retention: what is younger was not deleted by Kafka itself.
    """
    return oldest if retention is None else min(oldest, now_ms - retention)


class _Reader:
    """Sorts records by organization and day."""

    def __init__(
        self,
        scan: TopicScan,
        topics: Topics,
        decoder: RecordDecoder,
        destinations: Mapping[str, DestinationConfig],
        wanted: Mapping[str, Collection[str]],
        seen: SeenRecords,
    ) -> None:
        self._scan, self._topics, self._decoder, self._seen = scan, topics, decoder, seen
        self._wanted = {name: frozenset(days) for name, days in wanted.items()}
        self._filters = {name: each for name, each in destinations.items() if each.where is not None}

    def note_corrupt(self, error: CorruptBatchError) -> None:
        self._scan.corrupt.append(str(error))

    async def take(self, records: Sequence[Record]) -> None:
        found: list[tuple[Record, SeenRecord]] = []
        for record in records:
            name = (record.key or b"").decode("utf-8", "replace")
            days = self._wanted.get(name)
            if days is None or replay_of(record.headers) is not None:
                continue
            event = await self._read(record.value or b"")
            if event is None:
                self._scan.undecodable[name] = self._scan.undecodable.get(name, 0) + 1
            elif (day := day_of(event.created)) in days:
                found.append((record, event))
            else:
                passed = self._scan.passed.setdefault((name, day), PassedDay())
                passed.add(event.collected, self._place(record))
        left_out = self._left_out([record for record, _ in found])
        for index, (record, event) in enumerate(found):
            placed = PlacedEvent(
                event.key,
                self._place(record),
                event.collected,
                left_out.get(index, frozenset()),
                event.variant,
            )
            of_day = (record.key or b"").decode("utf-8", "replace"), day_of(event.created)
            self._scan.events.setdefault(of_day, []).append(placed)

    async def _read(self, content: bytes) -> SeenRecord | None:
        """Return what a record says. None: it cannot be decoded."""
        if (seen := self._seen.find(content)) is not None:
            return seen
        decoded, _ = await self._decoder.decode(content)
        if decoded is None or not {"id", "created", "collected"} <= decoded.record.keys():
            return None
        event = decoded.record
        seen = SeenRecord(event_key(event), event["created"], event["collected"], event.get("variant"))
        self._seen.add(content, seen)
        return seen

    def _place(self, record: Record) -> EventAddress:
        return EventAddress(short_name(self._topics, record.topic), record.partition, record.offset)

    def _left_out(self, records: Sequence[Record]) -> Mapping[int, frozenset[str]]:
        """Return the destinations that leave a record out, by its index. A filter that fails leaves nothing out."""
        if not self._filters or not records:
            return {}
        decoded = decode(records, {})
        found: dict[int, set[str]] = {}
        for name, config in self._filters.items():
            for index, selected in zip(decoded.indices, _selected(name, config, decoded.frame), strict=True):
                if not selected:
                    found.setdefault(index, set()).add(name)
        return {index: frozenset(names) for index, names in found.items()}


def _selected(name: str, config: DestinationConfig, frame: pl.DataFrame) -> Sequence[bool]:
    everything = [True] * frame.height
    try:
        select = compile_rules(name, config).select
        return everything if select is None else select(frame).fill_null(value=False).to_list()
    except SettingsError:
        return everything
    except _DEFECTS:  # the condition is an operator's, and may make polars fail
        return everything

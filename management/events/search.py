"""Search the event topics for events, the newest first, in bounded time and memory."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from management.decoding import RecordDecoder, open_decoder
from management.events.query import EventQuery
from management.events.search_place import UnsearchedRange, decode_place, encode_place, read_back_to
from management.events.stored_event import StoredEvent, decode_event, short_name
from management.organizations.store import kafka_errors_as_relay_errors
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    CorruptBatchError,
    LogBounds,
    partitions_of,
    read_batches,
    stable_bounds,
    standalone_consumer,
)
from relay.kafka.time_index import offsets_at
from relay.kafka.topics import Topics, partition_of


@dataclass(frozen=True, slots=True)
class SearchTiming:
    """Bounds of one search. It reads steps of all partitions together, each four times as large as the one before."""

    seconds: float = 5.0
    first_offsets: int = 10_000
    most_offsets: int = 60_000
    most_bytes: int = 64_000_000
    """Of records that wait for decoding; a step that has more is made smaller."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The events that were found, the newest first, and what was read for that. Times are ms UTC.

    `read_from`: everything collected from then on was read; None: see `finished`. `place`: where the next search goes on;
    empty: the whole range was read. `records`: how many were read.
    """

    events: Sequence[StoredEvent]
    records: int
    read_from: int | None
    place: str
    oldest: int | None
    """When the oldest record that was read was collected. None: nothing was read."""
    undecodable: int = 0
    problems: Sequence[str] = ()

    @property
    def finished(self) -> bool:
        return not self.place


async def search_events(
    connection: Connection,
    registry: SchemaRegistryConfig,
    query: EventQuery,
    place: str = "",
    limit: int = 50,
    timing: SearchTiming | None = None,
) -> SearchResult:
    """Search from the newest event back, or on from `place`, until `limit` events are found or the time is over.

    Raises InputError for a wrong place, and RelayError if Kafka does not answer.
    """
    timing = timing or SearchTiming()
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        async with open_decoder(registry, connection) as decoder, standalone_consumer(connection) as consumer:
            search = _Search(consumer, Topics(connection.kafka.topic_prefix), decoder, query, limit, timing)
            await search.open(place)
            return await search.run()


class _StepTooLargeError(Exception):
    """The step holds more bytes than memory is for, or took the rest of the time."""


class _Search:
    """One search: `_unread` shrinks from its high ends, by whole steps, or to the place of the first event that is left out."""

    def __init__(
        self,
        consumer: Any,
        topics: Topics,
        decoder: RecordDecoder,
        query: EventQuery,
        limit: int,
        timing: SearchTiming,
    ) -> None:
        self._consumer, self._topics, self._decoder = consumer, topics, decoder
        self._query, self._limit, self._timing = query, limit, timing
        self._deadline = time.monotonic() + timing.seconds
        self._unread: dict[TopicPartition, UnsearchedRange] = {}
        self._found: list[StoredEvent] = []
        self._problems: dict[tuple[TopicPartition, int], str] = {}
        self._records = self._undecodable = 0
        self._oldest: int | None = None

    async def open(self, place: str) -> None:
        """Look up the offsets of the time range. With a place, the partitions that it does not name are read already."""
        named = decode_place(place, self._topics.events, self._topics.backfill) if place else None
        tps = await self._partitions()
        bounds = await stable_bounds(self._consumer, tps)
        ends = {tp: each.last_stable_offset for tp, each in bounds.items()}
        lows = await self._offsets(self._query.from_ms, bounds, ends, at_none=False)
        highs = await self._offsets(self._query.to_ms, bounds, ends, at_none=True)
        for tp in tps:
            high = highs[tp] if named is None else min(highs[tp], named.get(tp, 0))
            self._unread[tp] = UnsearchedRange(lows[tp], high)

    async def _partitions(self) -> list[TopicPartition]:
        found = []
        for topic in (self._topics.events, self._topics.backfill):
            numbers = await partitions_of(self._consumer, topic)
            if self._query.organization:
                numbers = [partition_of(self._query.organization, len(numbers))]
            found += [TopicPartition(topic, number) for number in numbers]
        return found

    async def _offsets(
        self,
        at_ms: int | None,
        bounds: dict[TopicPartition, LogBounds],
        ends: dict[TopicPartition, int],
        *,
        at_none: bool,
    ) -> dict[TopicPartition, int]:
        """Return the offsets of an instant; of None, the ends if `at_none`, else the starts."""
        if at_ms is None:
            return ends if at_none else {tp: each.log_start_offset for tp, each in bounds.items()}
        found = await offsets_at(self._consumer, at_ms, ends)
        return {tp: max(found[tp], bounds[tp].log_start_offset) for tp in ends}

    async def run(self) -> SearchResult:
        step, read_any = self._timing.first_offsets, False
        while len(self._found) < self._limit and time.monotonic() < self._deadline:
            pending = [tp for tp, each in self._unread.items() if not each.finished]
            if not pending:
                break
            try:
                await self._read_step(pending, max(1, step // len(pending)))
            except _StepTooLargeError:
                if time.monotonic() >= self._deadline:
                    break
                step = max(len(pending), step // 8)
                continue
            read_any, step = True, min(4 * step, self._timing.most_offsets)
        if not read_any and any(not each.finished for each in self._unread.values()):
            raise RelayError(
                f"Kafka did not answer the search within {self._timing.seconds:g} s. Name the organization, or a shorter time."
            )
        return self._result()

    async def _read_step(self, pending: Sequence[TopicPartition], step: int) -> None:
        starts = {tp: max(self._unread[tp].low, self._unread[tp].high - step) for tp in pending}
        ends = {tp: self._unread[tp].high for tp in pending}
        candidates: list[Record] = []
        reached: dict[TopicPartition, int] = {}
        records = size = 0
        async for batch in read_batches(self._consumer, starts, ends, 2_000, self._keep_problem):
            records += len(batch)
            for record in batch:
                tp = TopicPartition(record.topic, record.partition)
                reached[tp] = min(reached.get(tp, record.timestamp), record.timestamp)
                if self._query.may_match(record.key, record.value, record.timestamp):
                    candidates.append(record)
                    size += len(record.value or b"")
            if time.monotonic() >= self._deadline or (size > self._timing.most_bytes and step > 1):
                raise _StepTooLargeError
        self._records += records
        for tp, start in starts.items():
            unread = self._unread[tp]
            unread.high = start
            if tp in reached:
                unread.reached_at = reached[tp] + 1  # others of the same instant may be before the step
        self._oldest = min(
            [*reached.values(), *([] if self._oldest is None else [self._oldest])], default=None
        )
        await self._take(candidates)

    async def _take(self, candidates: list[Record]) -> None:
        """Decode candidates, the newest first, until there are enough events. Those that are left are read again next time."""
        candidates.sort(key=lambda each: (each.timestamp, each.offset), reverse=True)
        for number, record in enumerate(candidates):
            if number and (len(self._found) >= self._limit or time.monotonic() >= self._deadline):
                self._leave(candidates[number:])
                return
            if number % 200 == 199:
                await asyncio.sleep(0)  # other requests are answered in between
            found, _ = await decode_event(self._decoder, record, short_name(self._topics, record.topic))
            if found is None:
                self._undecodable += 1
            elif self._query.matches(found.event):
                self._found.append(found)

    def _leave(self, records: Sequence[Record]) -> None:
        for record in records:
            unread = self._unread[TopicPartition(record.topic, record.partition)]
            if record.offset >= unread.high:
                unread.high, unread.reached_at = record.offset + 1, record.timestamp + 1

    def _result(self) -> SearchResult:
        self._found.sort(key=lambda each: (each.at, each.address.offset), reverse=True)
        return SearchResult(
            self._found,
            self._records,
            read_back_to(self._unread.values()),
            encode_place(self._unread, self._topics.events),
            self._oldest,
            self._undecodable,
            list(self._problems.values()),
        )

    def _keep_problem(self, error: CorruptBatchError) -> None:
        if len(self._problems) < 20:
            self._problems[error.tp, error.next_offset] = f"{error} Its events are missing here."

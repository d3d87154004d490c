"""Looks on the topics of one shard for events that no ledger holds any more."""

import math
from collections.abc import Collection
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from producer.publishing.letters import EventsUnavailableError, PublishedEvents
from producer.recovery.log_reader import EventDecoder
from producer.state.checkpoint import EventTime
from relay.errors import RelayError, describe
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_batches, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics
from relay.replays.refill import replay_of
from relay.schema_registry.store import SchemaStore


@dataclass(frozen=True, slots=True)
class EventSearch:
    """Searches the committed events of one organization. Memory: a few bytes for each event that is found."""

    connection: Connection
    topics: Topics
    store: SchemaStore

    async def find(
        self, organization: str, partition: int, ids: Collection[int], since_ms: int
    ) -> PublishedEvents:
        """Return the events with these ids that were published at `since_ms` (ms) or later. Raises EventsUnavailableError."""
        found: set[EventTime] = set()
        since = []
        try:
            decoder = EventDecoder(self.store, await self.store.event_encoder())
            for topic in (self.topics.events, self.topics.backfill):
                tp = TopicPartition(topic, partition)
                since.append(await self._search(decoder, tp, organization.encode(), ids, since_ms, found))
        except KAFKA_FAILURES as error:
            raise EventsUnavailableError(
                f"The events of {organization} cannot be looked at ({describe(error).rstrip('.')}). It is tried again."
            ) from error
        return PublishedEvents(found, *since)

    async def _search(
        self,
        decoder: EventDecoder,
        tp: TopicPartition,
        key: bytes,
        ids: Collection[int],
        since_ms: int,
        found: set[EventTime],
    ) -> float:
        """Add what is found; return the timestamp from which on the topic is complete, in ms."""
        async with standalone_consumer(self.connection) as reader:
            bounds = (await stable_bounds(reader, [tp]))[tp]
            start, end = bounds.log_start_offset, bounds.last_stable_offset
            complete_since = 0.0 if start == 0 else await _first_timestamp(reader, tp, start, end)
            later = (await BoundedConsumer(reader).offsets_for_time([tp], since_ms))[tp]
            first = end if later is None else max(start, later)
            async for records in read_batches(reader, {tp: first}, {tp: end}):
                mine = [one for one in records if one.key == key and replay_of(one.headers) is None]
                events = await decoder.decode_all(mine)
                found |= {one.time for one in events if one.id in ids}
            after = (await stable_bounds(reader, [tp]))[tp]
        if after.log_start_offset > first:
            raise RelayError(f"Kafka deleted events of {tp.topic} while they were read; they are read again.")
        return complete_since


async def _first_timestamp(reader: Any, tp: TopicPartition, start: int, end: int) -> float:
    """Return when the oldest record of a topic was written; infinite: it has none."""
    batches = read_batches(reader, {tp: start}, {tp: end}, max_records=1)
    async with aclosing(batches):  # type: ignore[type-var]
        async for records in batches:
            if records:
                return float(records[0].timestamp)
    return math.inf

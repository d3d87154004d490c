"""The events of the live topic as they come, each once, oldest first."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from management.decoding import open_decoder
from management.events.stored_event import StoredEvent, decode_event
from management.topic_follower import FollowerTiming, TopicFollower
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka import Record
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics

_OFFSETS = 2_000
"""Of each partition, that one reading takes at most; what is further back is passed over, and counted."""
_TIMING = FollowerTiming(fresh_seconds=0.0, retry_seconds=0.0, read_seconds=30.0, forget_seconds=float("inf"))

Select = Callable[[Sequence[Record]], tuple[Sequence[Record], int]]
"""Returns those records that meet a condition, and how many could not be decoded."""


class EventFeed:
    """Reads on from the end of the last reading. The first one begins 2,000 offsets before the end of each partition."""

    def __init__(
        self,
        connection: Connection,
        registry: SchemaRegistryConfig,
        organization: str,
        select: Select | None,
        now_ms: Callable[[], int],
    ) -> None:
        """`organization`: its name; empty: all."""
        self._connection = connection
        self._registry = registry
        self._key = organization.encode()
        self._select = select
        self._new: list[Record] = []
        topic = Topics(connection.kafka.topic_prefix).events
        self._follower = TopicFollower(
            connection, [topic], _OFFSETS, now_ms, self._take, self._new.clear, _TIMING
        )
        self.passed = 0
        """Offsets that the last reading passed over."""
        self.undecodable = 0
        """Records of the last reading that could not be decoded."""

    @property
    def problems(self) -> Mapping[Any, str]:
        """A sentence for each batch that cannot be read, by its place."""
        return self._follower.problems

    async def read(self) -> list[StoredEvent]:
        """Return the events that are new, oldest first. Raises RelayError; the next call then goes on from the same place."""
        state = await self._follower.refresh()
        self.passed = state.passed
        if state.failure is not None:
            raise RelayError(state.failure)
        records = sorted(self._new, key=lambda each: (each.timestamp, each.offset))
        self._new.clear()
        self.undecodable = 0
        if self._select is not None and records:
            selected, self.undecodable = self._select(records)
            records = list(selected)
        found = []
        async with open_decoder(self._registry, self._connection) as decoder:
            for record in records:
                event, _ = await decode_event(decoder, record, "events")
                if event is None:
                    self.undecodable += 1
                else:
                    found.append(event)
        return found

    def _take(self, record: Record) -> None:
        if not self._key or record.key == self._key:
            self._new.append(record)

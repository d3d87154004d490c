"""The last events of the live topic, read on with each request: for pages that renew themselves."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from management.decoding import open_decoder
from management.events.query import EventQuery
from management.events.stored_event import StoredEvent, decode_event
from management.topic_follower import FollowerTiming, ReadState, TopicFollower
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka import Record
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics

KEPT = 1_000
_OFFSETS = 200
"""Of each partition, that one reading reaches back at most."""


@dataclass(frozen=True, slots=True)
class TailView:
    """The events that match, newest first, among the last `seen`; `since`: when the oldest of those was collected, ms UTC."""

    state: ReadState
    events: Sequence[StoredEvent]
    seen: int
    since: int | None
    problems: Sequence[str]
    undecodable: int = 0
    """Records that could not be decoded, since everything was read anew."""


class EventTail:
    """The last 1,000 events of the live topic. All pages of a console share it; without one it reads nothing."""

    def __init__(
        self,
        connection: Connection,
        registry: SchemaRegistryConfig,
        now_ms: Callable[[], int],
        timing: FollowerTiming | None = None,
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._new: deque[Record] = deque(maxlen=KEPT)
        self._events: deque[StoredEvent] = deque(maxlen=KEPT)
        self._undecodable = 0
        self._follower = TopicFollower(
            connection,
            [Topics(connection.kafka.topic_prefix).events],
            _OFFSETS,
            now_ms,
            self._new.append,
            self._reset,
            timing or FollowerTiming(forget_seconds=600),
        )

    async def view(self, query: EventQuery, limit: int) -> TailView:
        """Return the last events that match. `query.organization`: a part of the name, in letters of any case."""
        state = await self._follower.refresh()
        await self._decode()
        part = query.organization.casefold()
        found = [
            each
            for each in reversed(self._events)
            if part in each.organization.casefold() and query.matches(each.event)
        ]
        since = self._events[0].at if self._events else None
        return TailView(
            state,
            found[:limit],
            len(self._events),
            since,
            list(self._follower.problems.values()),
            self._undecodable,
        )

    async def _decode(self) -> None:
        if not self._new:
            return
        records = sorted(self._new, key=lambda each: (each.timestamp, each.offset))
        self._new.clear()
        async with open_decoder(self._registry, self._connection) as decoder:
            for record in records:
                found, _ = await decode_event(decoder, record, "events")
                if found is None:
                    self._undecodable += 1
                else:
                    self._events.append(found)

    def _reset(self) -> None:
        self._new.clear()
        self._events.clear()
        self._undecodable = 0

"""Events found on a shard's topics: the fields that state is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyroaring import BitMap64

from producer.state.checkpoint import EventPosition, EventTime
from producer.state.ledger import DayLedger
from relay.timestamps import day_of


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event on a topic: the fields that a ledger needs. `timestamp` is Kafka's, in ms."""

    organization: str
    id: int
    created: int
    offset: int
    timestamp: int
    variant: str | None = None

    @property
    def day(self) -> str:
        return day_of(self.created)

    @property
    def time(self) -> EventTime:
        return EventTime(self.created, self.id)

    def keys_in(self, days: Mapping[str, DayLedger]) -> tuple[int, ...]:
        """Return the keys of the event in the ledger of its day."""
        return days.get(self.day, DayLedger()).keys_of(self.time, self.variant)


@dataclass(frozen=True, slots=True)
class RefilledEvent:
    """An event that is on the topic for one replay alone."""

    replay_id: str
    event: LoggedEvent


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of one topic from offset `start` on: at least everything since the last progress, and its transaction.

    `complete_since` (ms): events collected from then on must be there; older ones retention may have deleted.
    """

    start: int
    events: tuple[LoggedEvent, ...] = ()
    complete_since: float = 0
    newest: int = 0
    """The newest timestamp of its records in ms, those of replays too. 0: it has none."""
    refilled: tuple[RefilledEvent, ...] = ()


IdsByDay = dict[str, dict[str, BitMap64]]
"""Keys of events, by organization and day."""


@dataclass(frozen=True, slots=True)
class LogScan:
    """All event keys of some organizations on one topic, the last and the newest event of each. The log begins at `start`.

    `complete_since` (ms): events collected from then on must be there; older ones retention may have deleted.
    """

    ids: IdsByDay = field(default_factory=dict)
    last: Mapping[str, LoggedEvent] = field(default_factory=dict)
    complete_since: float = 0
    start: int = 0
    newest: Mapping[str, EventTime] = field(default_factory=dict)

    def last_position(self, name: str) -> EventPosition | None:
        return EventPosition(self.last[name].offset, self.last[name].id) if name in self.last else None

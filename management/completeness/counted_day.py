"""The counted days of an organization."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from management.completeness.progress import RecordedProgress
from management.completeness.proof import DayAccount
from management.completeness.topic_scan import PassedDay, PlacedEvent


@dataclass(frozen=True, slots=True)
class CountedDay:
    """The account of a day, and the events that it counts, with their places."""

    account: DayAccount
    events: Sequence[PlacedEvent] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """The accounts of an organization by day, and what its producers have recorded."""

    days: Mapping[str, CountedDay]
    progress: RecordedProgress
    passed: Mapping[str, PassedDay] = field(default_factory=dict)
    """The other days of which an event was found on the way."""

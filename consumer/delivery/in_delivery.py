"""Records in delivery: what the sender has begun and not ended."""

from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter

from consumer.offsets.tracker import TrackedRecords
from relay.kafka import Record


@dataclass(slots=True)
class Work:
    """One task of a sender, and what it delivers."""

    tracked: TrackedRecords
    bytes: int
    route: str | None
    holds_slot: bool
    """Whether it counts as one of `Limits.in_flight_bodies`."""
    begun: float
    """When it began, in seconds of the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Records in delivery. `bytes`: of their rows and of the records in memory."""

    tracked: TrackedRecords
    bytes: int
    route: str | None
    holds_slot: bool
    begun: float
    needs_witness: bool
    """Whether it was rejected, and waits for the acceptance of another body of its route."""


def oldest_record(tracked: TrackedRecords) -> Record:
    """Return the oldest of these records; there is one at least.

    A body has records of several partitions, whose ages may differ by hours after an outage. Those of one are in order.
    """
    starts = accumulate(map(len, tracked.sequences[:-1]), initial=0)
    return min((tracked.records[start] for start in starts), key=attrgetter("timestamp"))


def oldest_ms(tracked: TrackedRecords) -> int:
    """Return the timestamp of the oldest of these records, in ms UTC; there is one at least."""
    return oldest_record(tracked).timestamp

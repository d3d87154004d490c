"""Records in delivery: what the sender has begun and not ended."""

from dataclasses import dataclass

from consumer.offsets.tracker import TrackedRecords


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


def oldest_ms(tracked: TrackedRecords) -> int:
    """Return the timestamp, in ms UTC, of the oldest of these records; there is one at least.

    A body has records of several partitions, whose ages may differ by hours after an outage. Those of one are in order.
    """
    firsts, position = [], 0
    for sequence in tracked.sequences:
        firsts.append(tracked.records[position].timestamp)
        position += len(sequence)
    return min(firsts)

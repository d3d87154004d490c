"""The number of delivered records, and how many of them an offset can hold."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeliveredCounts:
    """How many tracked records were delivered at one moment."""

    contiguous: int
    """Those with no undelivered record before them."""
    runs: Sequence[Sequence[int]]
    """Of each partition, the lengths of the runs behind an undelivered record, in their order."""

    def committable(self, max_ranges: int) -> int:
        """Return how many of them an offset with at most `max_ranges` ranges a partition holds."""
        return self.contiguous + sum(sum(lengths[:max_ranges]) for lengths in self.runs)

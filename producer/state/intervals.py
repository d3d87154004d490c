"""Half-open ranges of time in ms UTC. A collection of them is ascending, disjoint, and without adjoining ranges."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class TimeRange:
    """From `start`, inside, to `end`, outside; empty where `start` is not before `end`."""

    start: int
    end: int

    def __contains__(self, ms: int) -> bool:
        return self.start <= ms < self.end

    @property
    def width(self) -> int:
        return max(0, self.end - self.start)


def add_range(ranges: Sequence[TimeRange], new: TimeRange) -> tuple[TimeRange, ...]:
    """Return the ranges and one more, joined where they touch."""
    if not new.width:
        return tuple(ranges)
    before = [one for one in ranges if one.end < new.start]
    after = [one for one in ranges if one.start > new.end]
    joined = [new, *ranges[len(before) : len(ranges) - len(after)]]
    return (*before, TimeRange(min(one.start for one in joined), max(one.end for one in joined)), *after)


def missing_ranges(ranges: Sequence[TimeRange], within: TimeRange) -> tuple[TimeRange, ...]:
    """Return the parts of `within` that no range covers."""
    edges = [
        within.start,
        *(edge for one in ranges if one.width for edge in (one.start, one.end)),
        within.end,
    ]
    gaps = (TimeRange(max(start, within.start), min(end, within.end)) for start, end in _pairs(edges))
    return tuple(gap for gap in gaps if gap.width)


def remove_range(ranges: Sequence[TimeRange], gone: TimeRange) -> tuple[TimeRange, ...]:
    """Return the ranges without the parts that are in `gone`."""
    return tuple(rest for one in ranges for rest in missing_ranges((gone,), one))


def split_in_half(whole: TimeRange) -> tuple[TimeRange, TimeRange]:
    """Return the older half and the newer."""
    middle = (whole.start + whole.end) // 2
    return TimeRange(whole.start, middle), TimeRange(middle, whole.end)


def _pairs(edges: Sequence[int]) -> Iterator[tuple[int, int]]:
    return zip(edges[::2], edges[1::2], strict=True)

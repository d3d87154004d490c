"""Offsets that Kafka deleted before the archive had their events. Pure."""

from collections.abc import Iterable, Sequence

from consumer.replay.source import ArchivedRecords

Range = tuple[int, int]
"""Offsets, half-open."""


class LostOffsets:
    """Follows a reading, and says which lost offsets it has passed without a record: some may have been delivered before the loss."""

    def __init__(self, lost: Sequence[Range], start: int) -> None:
        self._lost = sorted(lost)
        self._position = start

    def passed(self, chunk: ArchivedRecords) -> list[Range]:
        """Return the lost offsets before the end of this chunk, and behind that of the last one, that have no record."""
        found = []
        for start, stop in self._lost:
            at, end = max(start, self._position), min(stop, chunk.next_offset)
            for record in chunk.records:
                if at <= record.offset < end:
                    found += [(at, record.offset)]
                    at = record.offset + 1
            found += [(at, end)]
        self._position = max(self._position, chunk.next_offset)
        return united(found)


def united(ranges: Iterable[Range]) -> list[Range]:
    """Return the same offsets as ranges that ascend, and neither touch nor overlap."""
    found: list[Range] = []
    for start, stop in sorted(each for each in ranges if each[0] < each[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found

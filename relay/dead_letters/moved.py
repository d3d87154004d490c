"""The addresses in dead letters that are copied to another Kafka, where the same records have other offsets. Pure."""

from array import array
from bisect import bisect_right
from collections.abc import Mapping

from relay.dead_letters.letter import PREFIX, Header, address_of, own_headers_start, parse_letter
from relay.kafka import Record, TopicPartition

NOWHERE = 2**62
"""Added to the offset of a record that was not copied, since Kafka had deleted it: no record will have that place."""


class OffsetMap:
    """Where the records of one partition are in its copy. Records in a row take 24 bytes together."""

    def __init__(self) -> None:
        self._old, self._new, self._count = array("q"), array("q"), array("q")

    def add(self, old: int, new: int) -> None:
        """Take a record; ascending."""
        if self._old and self._old[-1] + self._count[-1] == old and self._new[-1] + self._count[-1] == new:
            self._count[-1] += 1
            return
        for column, value in ((self._old, old), (self._new, new), (self._count, 1)):
            column.append(value)

    def moved(self, old: int) -> int:
        """Return the place of a record in the copy, which is one of no record if it was not copied."""
        at = bisect_right(self._old, old) - 1
        if at >= 0 and old < self._old[at] + self._count[at]:
            return self._new[at] + old - self._old[at]
        return old if old >= NOWHERE else NOWHERE + old


def last_named(record: Record) -> int:
    """Return the greatest offset of a letter of the same partition that a letter or a mark names; -1: it names none."""
    letter = parse_letter(record)
    return max((-1 if each is None else each for each in letter.named.values()), default=-1)


def moved_headers(record: Record, maps: Mapping[TopicPartition, OffsetMap]) -> list[Header]:
    """Return the headers of a letter or a mark with the places that its addresses have in the copy.

    A mark that kept the old offset would close another letter, which then is never delivered. `maps`: of the partitions that were
    copied; an address in another one stays.
    """
    letter, own = parse_letter(record), own_headers_start(record.headers)
    changed = {
        name: address_of(letter.partition, _moved(maps, record.topic, letter.partition, offset))
        for name, offset in letter.named.items()
        if offset is not None
    }
    if letter.original is not None:
        changed["offset"] = str(_moved(maps, *letter.original))
    replaced = {PREFIX + name: text.encode() for name, text in changed.items()}
    return [
        *record.headers[:own],
        *((name, replaced.get(name, value)) for name, value in record.headers[own:]),
    ]


def _moved(maps: Mapping[TopicPartition, OffsetMap], topic: str, partition: int, offset: int) -> int:
    found = maps.get(TopicPartition(topic, partition))
    return offset if found is None else found.moved(offset)

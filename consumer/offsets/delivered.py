"""How far a group has got with a partition, as it is committed to Kafka and remembered."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self
from zlib import crc32

import orjson

from relay.kafka import OffsetAndMetadata, Record

MOST_STRETCHES = 100
"""So many fit into what Kafka takes with an offset (offset.metadata.max.bytes, 4096 unless a broker is told otherwise)."""

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """One record, known again by its place, a checksum of what it holds, and its time."""

    offset: int
    checksum: int
    at: int
    """Its timestamp."""

    @classmethod
    def of(cls, record: Record) -> Self:
        checksum = crc32(record.value or b"", crc32(record.key or b""))
        return cls(record.offset, checksum, record.timestamp)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Everything from offset `first` to its last record is settled."""

    first: int
    last: Mark

    @property
    def stop(self) -> int:
        return self.last.offset + 1


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything before `offset` is settled (accepted, a dead letter, or from before the group's beginning), and what lies in
    the stretches `beyond` it, which are in order and apart.

    `last` is a settled record before `offset`, if one is known. `line` is drawn anew wherever an operator has set the offset:
    what was known before says nothing of what is to be done after.
    """

    line: int
    offset: int
    last: Mark | None = None
    beyond: tuple[Stretch, ...] = ()

    @classmethod
    def at(cls, offset: int) -> Self:
        """Of a new line."""
        return cls(secrets.randbits(48), offset)

    @property
    def mark(self) -> Mark | None:
        """The last record that is known to be settled."""
        return self.beyond[-1].last if self.beyond else self.last

    def bare(self) -> "Progress":
        return replace(self, beyond=())

    def joined(self, other: "Progress") -> "Progress":
        """What either knows, of one line."""
        front = max(self, other, key=lambda each: each.offset)
        last = max(self, other, key=lambda each: each.last.offset if each.last else -1).last
        return replace(front, last=last).grown(self.beyond + other.beyond)

    def grown(self, stretches: Iterable[Stretch]) -> "Progress":
        """With these as well, in any order; they may overlap."""
        offset, last = self.offset, self.last
        beyond: list[Stretch] = []
        for each in sorted((*self.beyond, *stretches), key=lambda stretch: stretch.first):
            if each.first <= offset:
                if each.stop > offset:
                    offset, last = each.stop, each.last
            elif beyond and each.first <= beyond[-1].stop:
                if each.stop > beyond[-1].stop:
                    beyond[-1] = replace(beyond[-1], last=each.last)
            else:
                beyond.append(each)
        return Progress(self.line, offset, last, tuple(beyond))

    def first_only(self, count: int) -> "Progress":
        """With so many stretches at most."""
        return self if len(self.beyond) <= count else replace(self, beyond=self.beyond[:count])

    def after(self, offset: int) -> "Progress":
        """With those stretches that go on behind this offset."""
        return replace(self, beyond=tuple(each for each in self.beyond if each.last.offset > offset))

    def without(self, before: int) -> tuple["Progress", int]:
        """Where everything before this offset is gone, and how many of the offsets that are gone were not settled."""
        if before <= self.offset:
            return self, 0
        settled = sum(max(0, min(each.stop, before) - each.first) for each in self.beyond)
        return replace(self, offset=before).grown(()), before - self.offset - settled

    def committable(self) -> OffsetAndMetadata:
        """As it is committed to Kafka."""
        at = self.offset
        beyond: list[int] = []
        for each in self.beyond:
            beyond += [each.first - at, each.stop - each.first, each.last.checksum, each.last.at]
            at = each.stop
        last = [self.offset - self.last.offset, self.last.checksum, self.last.at] if self.last else []
        told = {"relay": _FORMAT, "at": self.offset, "line": self.line, "last": last, "beyond": beyond}
        return OffsetAndMetadata(self.offset, orjson.dumps(told).decode())

    @classmethod
    def committed(cls, offset: int, metadata: str) -> Self:
        """What a group's offset says. One that is not ours, or was moved with what we had committed, was set by an operator
        and begins a line.
        """
        try:
            return cls._read(offset, orjson.loads(metadata))
        except (ValueError, TypeError, LookupError):
            return cls.at(offset)

    @classmethod
    def _read(cls, offset: int, told: Any) -> Self:
        line, last, beyond = told["line"], told["last"], told["beyond"]
        if (
            told["relay"] != _FORMAT
            or told["at"] != offset
            or not all(map(_is_number, (line, *last, *beyond)))
        ):
            raise ValueError(told)
        at = offset
        stretches: list[Stretch] = []
        numbers = iter(beyond)
        for gap, length, checksum, time in zip(numbers, numbers, numbers, numbers, strict=True):
            first, at = at + _at_least_one(gap), at + gap + _at_least_one(length)
            stretches.append(Stretch(first, Mark(at - 1, checksum, time)))
        return cls(line, offset, _last(offset, *last) if last else None, tuple(stretches))


def _last(offset: int, back: int, checksum: int, time: int) -> Mark:
    return Mark(offset - _at_least_one(back), checksum, time)


def _at_least_one(number: int) -> int:
    if number < 1:
        raise ValueError(number)
    return number


def _is_number(value: Any) -> bool:
    """Of those that orjson writes as it has read them: larger ones come as fractions."""
    return type(value) is int

"""How far a group has got with a partition, as it is committed to Kafka and remembered."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self
from zlib import crc32

import orjson

from relay.kafka import OffsetAndMetadata, Record

MAX_DELIVERED_RANGES = 100
"""So many fit into what Kafka takes with an offset (offset.metadata.max.bytes, 4096 unless a broker is told otherwise)."""

_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordFingerprint:
    """One record, known again by its place, a checksum of what it holds, and its time."""

    offset: int
    checksum: int
    timestamp: int
    """Its timestamp."""

    @classmethod
    def of(cls, record: Record) -> Self:
        checksum = crc32(record.value or b"", crc32(record.key or b""))
        return cls(record.offset, checksum, record.timestamp)


@dataclass(frozen=True, slots=True)
class DeliveredRange:
    """Everything from offset `first` to its last record is delivered."""

    first: int
    last: RecordFingerprint

    @property
    def stop(self) -> int:
        return self.last.offset + 1


@dataclass(frozen=True, slots=True)
class DeliveryProgress:
    """Everything before `offset` is delivered (accepted, a dead letter, or from before the group's start), and what lies in
    the ranges `delivered_ahead` of it, which are in order and apart.

    `last` is a delivered record before `offset`, if one is known. `lineage` is drawn anew wherever an operator has set the offset:
    what was known before says nothing of what is to be done after.
    """

    lineage: int
    offset: int
    last: RecordFingerprint | None = None
    delivered_ahead: tuple[DeliveredRange, ...] = ()

    @classmethod
    def starting_at(cls, offset: int) -> Self:
        """Of a new lineage."""
        return cls(secrets.randbits(48), offset)

    @property
    def last_fingerprint(self) -> RecordFingerprint | None:
        """The last record that is known to be delivered."""
        return self.delivered_ahead[-1].last if self.delivered_ahead else self.last

    def without_ranges(self) -> "DeliveryProgress":
        return replace(self, delivered_ahead=())

    def merged(self, other: "DeliveryProgress") -> "DeliveryProgress":
        """What either knows, of one lineage."""
        further = max(self, other, key=lambda each: each.offset)
        last = max(self, other, key=lambda each: each.last.offset if each.last else -1).last
        return replace(further, last=last).with_ranges(self.delivered_ahead + other.delivered_ahead)

    def with_ranges(self, ranges: Iterable[DeliveredRange]) -> "DeliveryProgress":
        """With these as well, in any order; they may overlap."""
        offset, last = self.offset, self.last
        merged_ranges: list[DeliveredRange] = []
        for each in sorted(
            (*self.delivered_ahead, *ranges), key=lambda delivered_range: delivered_range.first
        ):
            if each.first <= offset:
                if each.stop > offset:
                    offset, last = each.stop, each.last
            elif merged_ranges and each.first <= merged_ranges[-1].stop:
                if each.stop > merged_ranges[-1].stop:
                    merged_ranges[-1] = replace(merged_ranges[-1], last=each.last)
            else:
                merged_ranges.append(each)
        return DeliveryProgress(self.lineage, offset, last, tuple(merged_ranges))

    def with_first_ranges(self, count: int) -> "DeliveryProgress":
        """With so many ranges at most."""
        return (
            self
            if len(self.delivered_ahead) <= count
            else replace(self, delivered_ahead=self.delivered_ahead[:count])
        )

    def with_ranges_after(self, offset: int) -> "DeliveryProgress":
        """With those ranges that go on behind this offset."""
        return replace(
            self, delivered_ahead=tuple(each for each in self.delivered_ahead if each.last.offset > offset)
        )

    def without_deleted(self, log_start: int) -> tuple["DeliveryProgress", int]:
        """Where everything before this offset is gone, and how many of the offsets that are gone were not delivered."""
        if log_start <= self.offset:
            return self, 0
        delivered = sum(max(0, min(each.stop, log_start) - each.first) for each in self.delivered_ahead)
        return replace(self, offset=log_start).with_ranges(()), log_start - self.offset - delivered

    def to_offset_and_metadata(self) -> OffsetAndMetadata:
        """As it is committed to Kafka."""
        previous_stop = self.offset
        encoded_ranges: list[int] = []
        for each in self.delivered_ahead:
            encoded_ranges += [
                each.first - previous_stop,
                each.stop - each.first,
                each.last.checksum,
                each.last.timestamp,
            ]
            previous_stop = each.stop
        last = [self.offset - self.last.offset, self.last.checksum, self.last.timestamp] if self.last else []
        payload = {
            "relay": _FORMAT_VERSION,
            "at": self.offset,
            "line": self.lineage,
            "last": last,
            "beyond": encoded_ranges,
        }
        return OffsetAndMetadata(self.offset, orjson.dumps(payload).decode())

    @classmethod
    def from_offset_and_metadata(cls, offset: int, metadata: str) -> Self:
        """What a group's offset says. One that is not ours, or was moved with what we had committed, was set by an operator
        and starts a lineage.
        """
        try:
            return cls._parse(offset, orjson.loads(metadata))
        except (ValueError, TypeError, LookupError):
            return cls.starting_at(offset)

    @classmethod
    def _parse(cls, offset: int, payload: Any) -> Self:
        lineage, last, encoded_ranges = payload["line"], payload["last"], payload["beyond"]
        if (
            payload["relay"] != _FORMAT_VERSION
            or payload["at"] != offset
            or not all(map(_is_integer, (lineage, *last, *encoded_ranges)))
        ):
            raise ValueError(payload)
        previous_stop = offset
        ranges: list[DeliveredRange] = []
        numbers = iter(encoded_ranges)
        for gap, length, checksum, timestamp in zip(numbers, numbers, numbers, numbers, strict=True):
            first, previous_stop = previous_stop + _positive(gap), previous_stop + gap + _positive(length)
            ranges.append(DeliveredRange(first, RecordFingerprint(previous_stop - 1, checksum, timestamp)))
        return cls(lineage, offset, _fingerprint_before(offset, *last) if last else None, tuple(ranges))


def _fingerprint_before(offset: int, distance: int, checksum: int, timestamp: int) -> RecordFingerprint:
    return RecordFingerprint(offset - _positive(distance), checksum, timestamp)


def _positive(number: int) -> int:
    if number < 1:
        raise ValueError(number)
    return number


def _is_integer(value: Any) -> bool:
    """Of those that orjson writes as it has read them: larger ones come as fractions."""
    return type(value) is int

"""The delivery progress of a group in one partition, as it is committed to Kafka and remembered."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self
from zlib import crc32

import orjson

from relay.kafka import OffsetAndMetadata, Record

MAX_DELIVERED_RANGES = 100
"""Ranges that fit into the metadata of an offset (offset.metadata.max.bytes of the brokers, 4096 by default)."""

_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordFingerprint:
    """Identifies one record by its offset, a checksum of key and value, and its timestamp."""

    offset: int
    checksum: int
    timestamp: int

    @classmethod
    def of(cls, record: Record) -> Self:
        checksum = crc32(record.value or b"", crc32(record.key or b""))
        return cls(record.offset, checksum, record.timestamp)

    def is_same_record(self, other: "RecordFingerprint") -> bool:
        """Return whether both are the same record, perhaps at different offsets of two logs."""
        return (self.checksum, self.timestamp) == (other.checksum, other.timestamp)


@dataclass(frozen=True, slots=True)
class DeliveredRange:
    """Offsets from `first` to the last record, all delivered."""

    first: int
    last: RecordFingerprint

    @property
    def stop(self) -> int:
        return self.last.offset + 1


@dataclass(frozen=True, slots=True)
class DeliveryProgress:
    """Every record before `offset` is delivered (accepted, skipped, a dead letter, or older than the group's start).

    The records in `delivered_ahead` are delivered too; its ranges are in order and do not touch. `last` is the last record
    before `offset`, delivered or older than the start; None: no such record is known. `live_from` is the offset at which the
    first start with `recent` divided the partition: the live group begins there, and the group of older events ends there;
    None: it was not divided. `lineage` is a random id, renewed when an operator resets the group's
    offset. Delivery state of an older lineage is ignored.
    """

    lineage: int
    offset: int
    last: RecordFingerprint | None = None
    delivered_ahead: tuple[DeliveredRange, ...] = ()
    live_from: int | None = None

    @classmethod
    def starting_at(cls, offset: int) -> Self:
        """Return progress of a new lineage, with nothing delivered from `offset` on."""
        return cls(secrets.randbits(48), offset)

    @property
    def last_fingerprint(self) -> RecordFingerprint | None:
        """The delivered record with the highest offset; None: no record is known."""
        return self.delivered_ahead[-1].last if self.delivered_ahead else self.last

    def without_ranges(self) -> "DeliveryProgress":
        return replace(self, delivered_ahead=())

    def merged(self, other: "DeliveryProgress") -> "DeliveryProgress":
        """Return the union of both, which are of one lineage."""
        further = max(self, other, key=lambda each: each.offset)
        last = max(self, other, key=lambda each: each.last.offset if each.last else -1).last
        return replace(further, last=last).with_ranges(self.delivered_ahead + other.delivered_ahead)

    def with_ranges(self, ranges: Iterable[DeliveredRange]) -> "DeliveryProgress":
        """Return progress with these ranges too, which may overlap and come in any order."""
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
        return replace(self, offset=offset, last=last, delivered_ahead=tuple(merged_ranges))

    def with_first_ranges(self, count: int) -> "DeliveryProgress":
        """Return progress with at most the first `count` ranges."""
        return (
            self
            if len(self.delivered_ahead) <= count
            else replace(self, delivered_ahead=self.delivered_ahead[:count])
        )

    def with_ranges_after(self, offset: int) -> "DeliveryProgress":
        """Return progress with the ranges that end after this offset."""
        return replace(
            self, delivered_ahead=tuple(each for each in self.delivered_ahead if each.last.offset > offset)
        )

    def without_deleted(self, log_start: int) -> tuple["DeliveryProgress", int]:
        """Return progress after Kafka deleted everything before `log_start`, and how many deleted offsets had not been delivered."""
        if log_start <= self.offset:
            return self, 0
        delivered = sum(max(0, min(each.stop, log_start) - each.first) for each in self.delivered_ahead)
        return replace(self, offset=log_start).with_ranges(()), log_start - self.offset - delivered

    def to_offset_and_metadata(self) -> OffsetAndMetadata:
        """Return offset and metadata as they are committed to Kafka."""
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
        if self.live_from is not None:
            payload["live"] = self.live_from
        return OffsetAndMetadata(self.offset, orjson.dumps(payload).decode())

    @classmethod
    def from_offset_and_metadata(cls, offset: int, metadata: str) -> Self:
        """Read a committed offset. Metadata that the relay did not write for this very offset begins a new lineage.

        An operator who sets the offset writes no metadata, or moves the relay's metadata to another offset.
        """
        return cls.from_relay_metadata(offset, metadata) or cls.starting_at(offset)

    @classmethod
    def from_relay_metadata(cls, offset: int, metadata: str) -> Self | None:
        """Read a committed offset; None: the relay did not write the metadata for this very offset."""
        try:
            return cls._parse(offset, orjson.loads(metadata))
        except (ValueError, TypeError, LookupError):
            return None

    @classmethod
    def _parse(cls, offset: int, payload: Any) -> Self:
        lineage, last, encoded_ranges = payload["line"], payload["last"], payload["beyond"]
        live_from = payload.get("live")
        if (
            payload["relay"] != _FORMAT_VERSION
            or payload["at"] != offset
            or not all(map(_is_integer, (lineage, live_from or 0, *last, *encoded_ranges)))
        ):
            raise ValueError(payload)
        previous_stop = offset
        ranges: list[DeliveredRange] = []
        numbers = iter(encoded_ranges)
        for gap, length, checksum, timestamp in zip(numbers, numbers, numbers, numbers, strict=True):
            first, previous_stop = previous_stop + _positive(gap), previous_stop + gap + _positive(length)
            ranges.append(DeliveredRange(first, RecordFingerprint(previous_stop - 1, checksum, timestamp)))
        fingerprint = _fingerprint_before(offset, *last) if last else None
        return cls(lineage, offset, fingerprint, tuple(ranges), live_from)


def _fingerprint_before(offset: int, distance: int, checksum: int, timestamp: int) -> RecordFingerprint:
    return RecordFingerprint(offset - _positive(distance), checksum, timestamp)


def _positive(number: int) -> int:
    if number < 1:
        raise ValueError(number)
    return number


def _is_integer(value: Any) -> bool:
    """Return whether orjson writes the value as it has read it: it reads larger integers as fractions."""
    return type(value) is int

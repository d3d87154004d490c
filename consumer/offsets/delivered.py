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

    def is_of(self, record: Record | None) -> bool:
        """Return whether this is the fingerprint of the record, at its offset. None: the log has no record there."""
        return record is not None and self.of(record) == self

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
    before `offset`, delivered or older than the start; None: no such record is known. `live_from` is the split offset, at which
    the first start with `recent` divided the partition: the live group begins there, and the group of older events ends there;
    None: it was not divided. `older_last` is the last record before the split offset, which finds it in another log; None: no
    such record is known. `lineage` is a random id, renewed when an operator resets the group's offset. Delivery state of an
    older lineage is ignored.
    """

    lineage: int
    offset: int
    last: RecordFingerprint | None = None
    delivered_ahead: tuple[DeliveredRange, ...] = ()
    live_from: int | None = None
    older_last: RecordFingerprint | None = None

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
        # The keys are short and fixed: groups have committed them. "line" is the lineage, "beyond" the delivered ranges.
        payload = {
            "relay": _FORMAT_VERSION,
            "at": self.offset,
            "line": self.lineage,
            "last": _before(self.offset, self.last) if self.last else [],
            "beyond": encoded_ranges,
            **self._split_offset(),
        }
        return OffsetAndMetadata(self.offset, orjson.dumps(payload).decode())

    def to_offset_and_split_offset(self, *, with_record: bool) -> OffsetAndMetadata:
        """Return the offset with the split offset of the partition alone, for brokers that accept short metadata only."""
        split_offset = (
            self._split_offset()
            if with_record
            else {k: v for k, v in self._split_offset().items() if k == "live"}
        )
        return OffsetAndMetadata(self.offset, orjson.dumps(split_offset).decode() if split_offset else "")

    def _split_offset(self) -> dict[str, Any]:
        if self.live_from is None:
            return {}
        older = {"older": _before(self.live_from, self.older_last)} if self.older_last else {}
        return {"live": self.live_from, **older}

    @classmethod
    def from_offset_and_metadata(cls, offset: int, metadata: str) -> Self:
        """Read a committed offset. Metadata that the relay did not write for this very offset begins a new lineage.

        An operator who sets the offset writes no metadata, or moves the relay's metadata to another offset, as a mirror does. The
        split offset that such metadata names holds for the log in which it was written; `older_last` tells which one that is.
        """
        written = cls.from_relay_metadata(offset, metadata)
        if written is not None:
            return written
        live_from, older_last = _carried_split_offset(metadata)
        return replace(cls.starting_at(offset), live_from=live_from, older_last=older_last)

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
        fingerprint = _fingerprint_before(offset, *last) if last else None
        return cls(lineage, offset, fingerprint, tuple(ranges), *_parse_split_offset(payload))


def _carried_split_offset(metadata: str) -> tuple[int | None, RecordFingerprint | None]:
    """Return the split offset of metadata that names another offset, or none. Without a record, an offset of another log is no use."""
    try:
        payload = orjson.loads(metadata)
        live_from, older_last = _parse_split_offset(payload)
        return (None, None) if "relay" in payload and older_last is None else (live_from, older_last)
    except (ValueError, TypeError, LookupError, AttributeError):
        return None, None


def _parse_split_offset(payload: Any) -> tuple[int | None, RecordFingerprint | None]:
    live_from, older = payload.get("live"), payload.get("older")
    if not all(map(_is_integer, (live_from or 0, *(older or ())))):
        raise ValueError(payload)
    return live_from, _fingerprint_before(live_from, *older) if older else None


def _before(offset: int, record: RecordFingerprint) -> list[int]:
    """Return a record as metadata has it: how far before the offset it is, its checksum and its time."""
    return [offset - record.offset, record.checksum, record.timestamp]


def _fingerprint_before(offset: int, distance: int, checksum: int, timestamp: int) -> RecordFingerprint:
    return RecordFingerprint(offset - _positive(distance), checksum, timestamp)


def _positive(number: int) -> int:
    if number < 1:
        raise ValueError(number)
    return number


def _is_integer(value: Any) -> bool:
    """Return whether orjson writes the value as it has read it: it reads larger integers as fractions."""
    return type(value) is int

"""Heads of record batches of magic 2, as Kafka stores and sends them."""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

from aiokafka.record.util import calc_crc32c

_HEAD = Struct(">qiibIhi")
"""Head of a batch: base offset, length of the rest, leader epoch, magic, checksum, attributes, last offset delta."""
_COUNT = Struct(">i")
"""Last field of a head: number of records."""
_HEAD_SIZE = 61
_LENGTH_END, _MAGIC, _CHECKSUM_END = 12, 16, 21
_VERSION = 2
_LEGACY_VERSIONS = (0, 1)


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """The head of a batch, as far as validation needs it."""

    base_offset: int
    last_offset: int
    epoch: int
    """Epoch of the leader that wrote it."""
    start: int
    """Index of its first byte in the fetched bytes."""
    intact: bool
    """Whether its checksum is right."""
    count: int = 0
    """Number of its records; compaction may have removed some."""


def parse_batches(fetched: bytes) -> Iterator[RecordBatch]:
    """Yield the complete batches, up to the first that is not of magic 2."""
    at, view = 0, memoryview(fetched)
    while at + _HEAD.size <= len(fetched):
        first, length, epoch, version, checksum, _, last = _HEAD.unpack_from(fetched, at)
        end = at + _LENGTH_END + length
        if version != _VERSION or end < at + _HEAD_SIZE or end > len(fetched):
            return
        intact = calc_crc32c(view[at + _CHECKSUM_END : end]) == checksum
        (count,) = _COUNT.unpack_from(fetched, at + _HEAD_SIZE - _COUNT.size)
        yield RecordBatch(first, first + last, epoch, at, intact, count)
        at = end


def end_of_batches(fetched: bytes) -> int:
    """Return the index after the last batch with a possible length and magic; one of magic 0 or 1 must be intact.

    A batch that is cut off at the end counts, if a complete one is before it: a fetch may end within a batch.
    """
    at = 0
    while at + _MAGIC < len(fetched):
        length = int.from_bytes(fetched[at + _LENGTH_END - 4 : at + _LENGTH_END], "big", signed=True)
        end = at + _LENGTH_END + length
        version = fetched[at + _MAGIC]
        legacy = version in _LEGACY_VERSIONS and end > at + _MAGIC
        if not legacy and (version != _VERSION or end < at + _HEAD_SIZE):
            return at
        if end > len(fetched):
            break
        if legacy and crc32(fetched[at + _MAGIC : end]) != int.from_bytes(
            fetched[at + _LENGTH_END : at + _MAGIC], "big"
        ):
            return at
        at = end
    return len(fetched) if at else 0

"""Takes the end of a partition's log away, as a power cut does where nobody had waited for the disk."""

import struct
from pathlib import Path

_BATCH_HEADER = struct.Struct(">qi")
"""Of a record batch: its first offset, and the length of what follows."""


def truncate_log(partition: Path, batches: int) -> int:
    """Take up to so many batches (markers of transactions count) off the newest segment of a Kafka that is dead; how many."""
    segment = max(partition.glob("*.log"))
    starts = _batch_starts(segment.read_bytes())
    removed = min(batches, len(starts))
    if removed:
        with segment.open("r+b") as file:
            file.truncate(starts[-removed])
    return removed


def _batch_starts(data: bytes) -> list[int]:
    starts, at = [], 0
    while at + _BATCH_HEADER.size <= len(data):
        length = _BATCH_HEADER.unpack_from(data, at)[1]
        if length <= 0 or at + _BATCH_HEADER.size + length > len(data):
            break
        starts.append(at)
        at += _BATCH_HEADER.size + length
    return starts

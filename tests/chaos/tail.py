"""Takes the end of a partition's log away, as a power cut does where nobody had waited for the disk."""

import struct
from pathlib import Path

_HEAD = struct.Struct(">qi")
"""Of a record batch: its first offset, and the length of what follows."""


def cut(partition: Path, batches: int) -> int:
    """Take up to so many batches (markers of transactions count) off the newest segment of a Kafka that is dead; how many."""
    segment = max(partition.glob("*.log"))
    starts = _starts(segment.read_bytes())
    lost = min(batches, len(starts))
    if lost:
        with segment.open("r+b") as file:
            file.truncate(starts[-lost])
    return lost


def _starts(data: bytes) -> list[int]:
    starts, at = [], 0
    while at + _HEAD.size <= len(data):
        length = _HEAD.unpack_from(data, at)[1]
        if length <= 0 or at + _HEAD.size + length > len(data):
            break
        starts.append(at)
        at += _HEAD.size + length
    return starts

"""Removal of the end of a partition's log: the effect of a power cut before data reached the disk."""

import struct
from pathlib import Path

_BATCH_HEADER = struct.Struct(">qi")
"""First fields of a record batch: its first offset, and the length of the bytes behind them."""


def truncate_log(partition: Path, batches: int) -> int:
    """Remove up to `batches` batches, transaction markers included, from the newest segment of a dead Kafka; return how many."""
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

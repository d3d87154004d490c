"""Cuts the end off a partition's log, as a power cut does when Kafka has not flushed it."""

import struct
from pathlib import Path

_BATCH_HEADER = struct.Struct(">qi")
"""The head of a record batch: its first offset, and the length of the rest."""


def truncate_log(partition: Path, batches: int) -> int:
    """Cut up to `batches` batches off the newest segment of a stopped Kafka; return their number.

    Markers of transactions count as batches.
    """
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

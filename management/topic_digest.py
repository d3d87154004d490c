"""What one partition holds, small enough to keep for a comparison with its copy. Pure."""

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

_LENGTH = struct.Struct(">q")


class RecordContent(Protocol):
    """A record that was read, or is to be written."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass
class Digest:
    """A digest of each record of a log in order, or of the newest record of each key of a compacted topic."""

    compacted: bool
    records: int = 0
    log: "array[int]" = field(default_factory=lambda: array("Q"))
    """Empty for a compacted topic."""
    newest: dict[bytes | None, int] = field(default_factory=dict)
    """By key, without those that were deleted; empty for a log."""

    def add(self, record: RecordContent) -> None:
        self.records += 1
        if not self.compacted:
            self.log.append(_digest(record))
        elif record.value is None:
            self.newest.pop(record.key, None)
        else:
            self.newest[record.key] = _digest(record)

    def missing_from(self, original: "Digest") -> int | None:
        """Return how many of the first records of `original` this copy lacks; None: it holds something else.

        Kafka deletes from the start of a log what is older than its retention. It compacts older records of a key away, which are
        not missing.
        """
        missing = len(original.log) - len(self.log)
        same = missing >= 0 and original.log[missing:] == self.log and self.newest == original.newest
        return missing if same else None


def _digest(record: RecordContent) -> int:
    """Return eight bytes over time, key, value and headers, each after its length; -1 means null."""
    state = blake2b(_LENGTH.pack(-1 if record.timestamp is None else record.timestamp), digest_size=8)
    headers = [part for name, value in record.headers for part in (name.encode(), value)]
    for part in (record.key, record.value, *headers):
        state.update(_LENGTH.pack(-1 if part is None else len(part)))
        state.update(part or b"")
    return int.from_bytes(state.digest())

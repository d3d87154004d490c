"""The parts of dead letters, joined again: several processes may have written between two parts."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from relay.dead_letters.letter import DeadLetter, parse_letter
from relay.kafka import Record

MAX_INTERLEAVED = 500
"""Other records between the first and the last part of one dead letter, at most."""
MAX_SPAN = MAX_INTERLEAVED + 8_000
"""Offsets that a letter covers, at most: a consumer divides a record of 4 MB into parts of 500 bytes where a topic takes no more."""
MAX_CONTENT_BYTES = 256 * 1024 * 1024
"""Largest content of a compressed letter."""
MAX_PENDING_BYTES = 64_000_000
"""Bytes of incomplete letters in memory; the oldest is given up before more are held."""

_PARTS_HEADERS = ("at", "reason", "topic", "partition", "offset", "flow", "replay", "redrive")


@dataclass(frozen=True, slots=True)
class WholeLetter:
    """A letter and its bytes as they are on the topic. `letter` is the first part that was found.

    `offsets`: of its parts, in order. `missing`: why it is not whole; None: it is.
    """

    letter: DeadLetter
    key: bytes | None
    stored: bytes
    offsets: tuple[int, ...]
    missing: str | None = None

    @property
    def is_cut_short(self) -> bool:
        """Whether its last part was never written, or is not written yet: a write that Kafka did not confirm is begun anew."""
        number, count = self.letter.part
        return self.missing is not None and number + len(self.offsets) - 1 < count

    def content(self) -> tuple[bytes, str | None]:
        """Return the original bytes, and why they are incomplete; None: they are complete."""
        if self.missing is not None or self.letter.headers.get("encoding") != "gzip":
            return self.stored, self.missing
        decompressor = zlib.decompressobj(wbits=31)
        try:
            content = decompressor.decompress(self.stored, MAX_CONTENT_BYTES)
        except zlib.error as error:
            return self.stored, f"Its header says gzip, but the content cannot be decompressed: {error}."
        if decompressor.eof:
            return content, None
        return content, "The content is incomplete: the rest cannot be decompressed."


@dataclass(slots=True)
class _Pending:
    """Parts of one letter: the first one and those that followed it without a gap."""

    first: DeadLetter
    record_key: bytes | None
    parts: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    bytes: int = 0

    @property
    def next_number(self) -> int:
        return self.first.part[0] + len(self.parts)

    def add(self, record: Record) -> None:
        self.parts.append(record.value or b"")
        self.offsets.append(record.offset)
        self.bytes += len(self.parts[-1])

    def letter(self) -> WholeLetter:
        count = self.first.part[1]
        missing = (
            None if len(self.parts) == count else f"Only {len(self.parts)} of its {count} parts were found."
        )
        return WholeLetter(self.first, self.record_key, b"".join(self.parts), tuple(self.offsets), missing)


class LetterAssembler:
    """Joins the parts of the letters of one partition, whose records are added in the order of their offsets.

    A letter is returned with its last part, so letters come in the order in which they are complete. A letter that covers more
    than its parts and MAX_INTERLEAVED offsets, and the oldest above `max_pending_bytes`, is returned incomplete. Marks are no letters.
    """

    def __init__(self, max_pending_bytes: int = MAX_PENDING_BYTES) -> None:
        self._max_pending_bytes = max_pending_bytes
        self._pending: list[tuple[tuple[Any, ...], _Pending]] = []
        """In the order of their first parts. Few: only large records have several parts."""

    def add(self, record: Record) -> list[WholeLetter]:
        """Return the letters that this record completes or gives up."""
        given_up = list(self._given_up(record.offset))
        letter = parse_letter(record)
        if letter.is_mark:
            return given_up
        if letter.part[1] == 1:
            whole = WholeLetter(letter, record.key, record.value or b"", (record.offset,))
            return [*given_up, whole]
        pending = self._pending_of(letter, record)
        pending.add(record)
        if letter.part[0] < letter.part[1]:
            return given_up
        self._pending = [each for each in self._pending if each[1] is not pending]
        return [*given_up, pending.letter()]

    def finish(self) -> list[WholeLetter]:
        """Return the letters that are incomplete at the end."""
        rest, self._pending = self._pending, []
        return [pending.letter() for _, pending in rest]

    def _pending_of(self, letter: DeadLetter, record: Record) -> _Pending:
        key = _parts_key(letter)
        for each, pending in self._pending:
            if each == key and pending.next_number == letter.part[0]:
                return pending
        self._pending.append((key, _Pending(letter, record.key)))
        return self._pending[-1][1]

    def _given_up(self, offset: int) -> Iterator[WholeLetter]:
        while self._pending:
            oldest = self._pending[0][1]
            span = MAX_INTERLEAVED + oldest.first.part[1]
            held = sum(pending.bytes for _, pending in self._pending)
            if offset - oldest.first.offset <= span and held <= self._max_pending_bytes:
                return
            del self._pending[0]
            yield oldest.letter()


def _parts_key(letter: DeadLetter) -> tuple[Any, ...]:
    """Return a key that all parts of one letter share. Two letters of one moment may share it too."""
    return (letter.organization, letter.part[1], *(letter.headers.get(name) for name in _PARTS_HEADERS))

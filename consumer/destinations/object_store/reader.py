"""Reads of an object that exists: only the columns that are asked for, in parts that outlast an attempt."""

from dataclasses import dataclass, field

from consumer.destinations.object_store.parquet_footer import END_BYTES, column_ranges, footer_bytes
from consumer.destinations.object_store.store import Store

FIRST_BYTES = 64 * 1024
"""Of the first request: a small object needs no other."""
PART_BYTES = 500_000
"""Of a request. A link that carries one in the time of an attempt gets any object through."""
MAX_OBJECT_BYTES = 2_000_000_000
"""The relay writes no larger object."""
_OBJECTS = 6
"""Under way: history, older events and up to four replays share a writer, and each reads one at a time."""


@dataclass(slots=True)
class _Parts:
    """An object of which some ranges were read; the other bytes are zeros."""

    key: str
    content: bytearray
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, part: bytes) -> None:
        self.content[start : start + len(part)] = part
        self.ranges.append((start, start + len(part)))

    def next_missing(self, start: int, stop: int) -> int | None:
        """Return the first byte of the range that was not read; None: there is none."""
        for begin, end in sorted(self.ranges):
            if begin <= start < end:
                start = end
        return start if start < stop else None


class ObjectReader:
    """Keeps the parts of an object between attempts: an object never changes, and a writer reads it again after a fault."""

    def __init__(self, store: Store, first_bytes: int = FIRST_BYTES, part_bytes: int = PART_BYTES) -> None:
        self._store = store
        self._first_bytes = first_bytes
        self._part_bytes = part_bytes
        self._parts: dict[str, _Parts] = {}

    async def read(self, key: str, columns: set[str]) -> bytes | None:
        """Return an object that has these columns and the footer in their places, and zeros elsewhere; None: there is none.

        What is no Parquet object has its beginning and its end alone. Raises StoreFault; the next call goes on from there.
        """
        found = await self._store.read(key, 0, self._first_bytes)
        parts = self._parts.pop(key, None)
        if found is None:
            return None
        if parts is None or len(parts.content) != found.size:
            parts = _Parts(key, bytearray(min(found.size, MAX_OBJECT_BYTES)))
        parts.add(0, found.content)
        self._parts[key] = parts
        if len(self._parts) > _OBJECTS:
            del self._parts[next(iter(self._parts))]
        try:
            if found.size <= MAX_OBJECT_BYTES:
                await self._read_columns(parts, columns)
        except LookupError:
            self._parts.pop(key, None)
            return None
        self._parts.pop(key, None)
        return bytes(parts.content)

    async def _read_columns(self, parts: _Parts, columns: set[str]) -> None:
        size = len(parts.content)
        await self._fill(parts, max(0, size - self._first_bytes), size)
        try:
            footer = footer_bytes(bytes(parts.content[-END_BYTES:]))
            if footer > size:
                return
            await self._fill(parts, size - footer, size)
            ranges = list(column_ranges(bytes(parts.content[size - footer : -END_BYTES]), columns))
        except ValueError:  # the caller finds that it is not the relay's
            return
        for start, stop in ranges:
            await self._fill(parts, max(0, start), min(stop, size))

    async def _fill(self, parts: _Parts, start: int, stop: int) -> None:
        while (missing := parts.next_missing(start, stop)) is not None:
            end = min(missing + self._part_bytes, stop)
            found = await self._store.read(parts.key, missing, end)
            if found is None or not found.content or found.size != len(parts.content):
                raise LookupError("the object is another one now")
            parts.add(missing, found.content)
            start = missing

"""The rows of overlapping objects in the order of their offsets, each once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from consumer.destinations.object_store.archive_listing import ArchivedName
from consumer.destinations.object_store.archived_object import ArchivedObject
from consumer.replay.archive_records import ARCHIVE_COLUMNS, OFFSET

SLICE_ROWS = 10_000
"""Rows of an object that are decoded at a time: about 6 MB."""
_EMPTY = pl.DataFrame(schema={OFFSET: pl.Int64(), **ARCHIVE_COLUMNS})
_IDENTITY = ("organization", "id", "created", "variant")


class TwoLogsError(Exception):
    """Objects hold different events at one offset; the message is the end of a sentence."""


@dataclass(slots=True)
class OpenObject:
    """An object with the rows that are decoded and were not taken yet. Rows before `start` are passed over."""

    name: ArchivedName
    stored: ArchivedObject
    start: int
    rows: pl.DataFrame = field(default_factory=lambda: _EMPTY)
    decoded: int = 0

    @property
    def finished(self) -> bool:
        return self.decoded >= self.stored.rows and not self.rows.height

    @property
    def limit(self) -> int | None:
        """The offset from which on its rows are not decoded; None: all of them are."""
        if self.decoded >= self.stored.rows:
            return None
        return int(self.rows[OFFSET][-1]) + 1 if self.rows.height else self.stored.first

    def decode(self) -> None:
        """Decode the next rows, at least one from `start` on if there is one. Raises UnfitObjectError."""
        while not self.rows.height and self.decoded < self.stored.rows:
            found = self.stored.events(self.decoded, SLICE_ROWS, ARCHIVE_COLUMNS)
            self.decoded += found.height
            self.rows = found.filter(pl.col(OFFSET) >= self.start)

    def take(self, limit: int) -> pl.DataFrame:
        """Return the decoded rows before `limit`, and keep the others."""
        count = int((self.rows[OFFSET] < limit).sum())
        taken, self.rows = self.rows.head(count), self.rows.slice(count)
        return taken


def merged(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of all parts in the order of their offsets, each offset once. Raises TwoLogsError."""
    found = [part for part in parts if part.height]
    if len(found) <= 1:
        return found[0] if found else _EMPTY
    together = pl.concat(found).sort(OFFSET, maintain_order=True)
    once = together.unique(OFFSET, keep="first", maintain_order=True)
    if once.height == together.height:
        return once
    events = together.unique([OFFSET, *_IDENTITY])
    if events.height != once.height:
        offset = events.filter(pl.col(OFFSET).is_duplicated())[OFFSET].sort()[0]
        raise TwoLogsError(f"they hold different events at offset {offset}")
    return once

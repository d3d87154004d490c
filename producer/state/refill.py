"""How far the window of one replay is read from the source: part of the checkpoint."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class RefillCursor:
    """The Refill of schemas/checkpoint.avsc. `read_to` in ms UTC; `ids`: those of the records created at that instant.

    It is committed with the events, so a producer that goes on publishes no record for the replay a second time.
    """

    id: str
    read_to: int
    ids: tuple[int, ...] = ()
    events: int = 0
    unreadable: int = 0
    end: int | None = None
    done: bool = False

    def holds(self, created: int, event_id: int) -> bool:
        """Return whether a record of the window is published already."""
        return created < self.read_to or (created == self.read_to and event_id in self.ids)

    def after_events(self, published: Sequence[tuple[int, int]]) -> "RefillCursor":
        """Return the cursor after events were published: `created` and id of each, in the order of `created`."""
        if not published:
            return self
        newest = published[-1][0]
        ids = tuple(event_id for created, event_id in published if created == newest)
        ids = (*self.ids, *ids) if newest == self.read_to else ids
        return replace(self, read_to=newest, ids=ids, events=self.events + len(published))

    def after_window(self, end: int, unreadable: int, *, done: bool) -> "RefillCursor":
        """Return the cursor after everything created before `end` was read."""
        return replace(self, read_to=end, ids=(), unreadable=self.unreadable + unreadable, done=done)

    def to_record(self) -> dict[str, Any]:
        return asdict(self) | {"ids": list(self.ids)}


def cursor_from_record(record: dict[str, Any]) -> RefillCursor:
    """Return the cursor of a record; the inverse of `RefillCursor.to_record`."""
    return RefillCursor(**record | {"ids": tuple(record["ids"])})

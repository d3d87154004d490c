"""How far the window of one replay is read from the source: part of the checkpoint."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from producer.state.intervals import TimeRange, add_range

MAX_UNREAD = 100
"""Unread ranges of one refill, at 40 bytes each in the checkpoint; beyond, the nearest become one."""


@dataclass(frozen=True, slots=True)
class RefillCursor:
    """The Refill of schemas/checkpoint.avsc. `read_to` in ms UTC; `ids`: those of the records created at that instant.

    It is committed with the events, so a producer that goes on publishes no record for the replay a second time.
    `unread`: ranges before `read_to` that the source failed to serve; they are in a field of their own of the checkpoint.
    """

    id: str
    read_to: int
    ids: tuple[int, ...] = ()
    events: int = 0
    unreadable: int = 0
    end: int | None = None
    done: bool = False
    unread: tuple[TimeRange, ...] = ()

    def holds(self, created: int, event_id: int) -> bool:
        """Return whether a record of the window is published already."""
        return created < self.read_to or (created == self.read_to and event_id in self.ids)

    def after_events(self, taken: Sequence[tuple[int, int]], unreadable: int = 0) -> "RefillCursor":
        """Return the cursor after events were dealt with: `created` and id of each, in the order of `created`.

        `unreadable`: how many of them the topic does not accept; the others are published.
        """
        if not taken:
            return self
        newest = taken[-1][0]
        ids = tuple(event_id for created, event_id in taken if created == newest)
        ids = (*self.ids, *ids) if newest == self.read_to else ids
        events, refused = self.events + len(taken) - unreadable, self.unreadable + unreadable
        return replace(self, read_to=newest, ids=ids, events=events, unreadable=refused)

    def after_window(self, end: int, unreadable: int, *, done: bool) -> "RefillCursor":
        """Return the cursor after everything created before `end` was read."""
        return replace(self, read_to=end, ids=(), unreadable=self.unreadable + unreadable, done=done)

    def with_unread(self, unread: TimeRange) -> "RefillCursor":
        """Return the cursor with a further range that the source failed to serve; of too many, the two nearest become one."""
        ranges = add_range(self.unread, unread)
        if len(ranges) > MAX_UNREAD:
            before, after = min(pairwise(ranges), key=lambda pair: pair[1].start - pair[0].end)
            ranges = add_range(ranges, TimeRange(before.start, after.end))
        return replace(self, unread=ranges)

    def to_record(self) -> dict[str, Any]:
        """Return the Refill of the checkpoint; `unread_records` has the other field."""
        record = asdict(self) | {"ids": list(self.ids)}
        del record["unread"]
        return record

    def unread_records(self) -> list[dict[str, Any]]:
        """Return the RefillUnread records of the checkpoint."""
        return [{"id": self.id, "start": one.start, "end": one.end} for one in self.unread]


def cursors_from_records(
    records: Sequence[dict[str, Any]], unread: Sequence[dict[str, Any]]
) -> tuple[RefillCursor, ...]:
    """Return the cursors of a checkpoint; the inverse of `RefillCursor.to_record` and `unread_records`."""
    return tuple(
        RefillCursor(
            **record | {"ids": tuple(record["ids"])},
            unread=tuple(TimeRange(one["start"], one["end"]) for one in unread if one["id"] == record["id"]),
        )
        for record in records
    )

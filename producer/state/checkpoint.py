"""How far an organization has been read: the Checkpoint of schemas/checkpoint.avsc as a value.

Why a checkpoint keeps completeness pairs: an operator asks of a destination "up to which moment is everything there?". The
checkpoint answers it for Kafka alone. A pair says which offset a reader must have passed to have everything up to a window
end, so the newest pair whose offset a consumer group has committed answers it for that group, however far behind it is.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from producer.state.active_hours import ActiveHours, active_hours_from_record
from producer.state.intervals import TimeRange
from producer.state.refill import RefillCursor, cursors_from_records
from relay.avro.codec import NEWER_FIELDS
from relay.timestamps import DAY_MS

MAX_PAIRS = 32


@dataclass(frozen=True, slots=True)
class CompletenessPair:
    """A reader that has passed `offset` on the events topic has everything created up to `window_end` (ms UTC)."""

    window_end: int
    offset: int


@dataclass(frozen=True, slots=True)
class EventPosition:
    """An event's offset on its topic, and its id."""

    offset: int
    id: int


class EventTime(NamedTuple):
    """An event's place in the order of creation: `created` in ms UTC, and its id among those of one instant."""

    created: int
    id: int


@dataclass(frozen=True, slots=True)
class IdReuse:
    """Events published with a variant, because another published record has their id. `since` and `last`: when the first
    and the last of them were collected, in ms UTC. After a week without one, the next begins a new count.
    """

    since: int
    last: int
    count: int

    def is_recent(self, now: int) -> bool:
        """Return whether the last one was collected within a week before `now` (ms)."""
        return now - self.last < 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Instants in ms UTC.

    `window_end`, `day_mark` and `week_mark` are the cursors: everything created before a cursor and visible when its
    window was read has been read.
    """

    organization: str
    window_end: int
    live_since: int
    day_mark: int
    week_mark: int
    ledgers_from: int
    """Ledgers of earlier days may be deleted, so no window begins earlier, except backfill not yet covered."""
    written: int
    backfilled: tuple[TimeRange, ...] = ()
    pairs: tuple[CompletenessPair, ...] = ()
    last_event: EventPosition | None = None
    last_backfill: EventPosition | None = None
    cloud_id: str | None = None
    newest_event: EventTime | None = None
    """The greatest of all published events. None: not known, as before the first one."""
    id_reuse: IdReuse | None = None
    outage: TimeRange | None = None
    """An outage of a day or more: whether the source kept all records of it is still to be asked. None: nothing is."""
    unread_ranges: tuple[TimeRange, ...] = ()
    """Ranges that the source fails to serve. The cursors pass them, and nothing claims them; see polling/unread_ranges.py. Field `holes` of the schema."""
    refills: tuple[RefillCursor, ...] = ()
    """Windows that are being read again for one destination; at most one of each replay."""
    active_hours: ActiveHours | None = None
    """The hours that had events. None: an earlier release has published every event so far."""
    newer_fields: bytes = b""
    """What a newer release has appended to the record; written back as it is, though this release moves `written` on."""

    @property
    def complete_up_to(self) -> int:
        """The instant up to which everything live that the source showed is published: the window end, or the first unread range."""
        unread_ranges = (
            max(unread_range.start, self.live_since)
            for unread_range in self.unread_ranges
            if unread_range.end > self.live_since
        )
        return min(self.window_end, next(unread_ranges, self.window_end))

    def to_record(self) -> dict[str, Any]:
        """Return the record of schemas/checkpoint.avsc, for the codec of its topic."""
        newer = {NEWER_FIELDS: self.newer_fields} if self.newer_fields else {}
        return newer | {
            "organization": self.organization,
            "window_end": self.window_end,
            "live_since": self.live_since,
            "day_mark": self.day_mark,
            "week_mark": self.week_mark,
            "ledgers_from": self.ledgers_from,
            "backfilled": [_range_to_record(one) for one in self.backfilled],
            "pairs": [{"window_end": one.window_end, "offset": one.offset} for one in self.pairs],
            "last_event": _position_to_record(self.last_event),
            "last_backfill": _position_to_record(self.last_backfill),
            "cloud_id": self.cloud_id,
            "newest_event": None if self.newest_event is None else self.newest_event._asdict(),
            "id_reuse": None if self.id_reuse is None else asdict(self.id_reuse),
            "outage": None if self.outage is None else _range_to_record(self.outage),
            "holes": [_range_to_record(one) for one in self.unread_ranges],
            "written": self.written,
            "refills": [one.to_record() for one in self.refills],
            "refills_unread": [each for one in self.refills for each in one.unread_records()],
            "active_hours": None if self.active_hours is None else self.active_hours.to_record(),
        }

    def refill(self, replay_id: str) -> RefillCursor | None:
        """Return how far the window of a replay is read. None: it is not begun."""
        return next((one for one in self.refills if one.id == replay_id), None)

    def with_refill(self, cursor: RefillCursor) -> "Checkpoint":
        """Return the checkpoint with this cursor in place of the one of the same replay."""
        others = tuple(one for one in self.refills if one.id != cursor.id)
        return replace(self, refills=(*others, cursor))

    def without_refills(self, is_over: Callable[[str], bool]) -> "Checkpoint":
        """Return the checkpoint without the cursors of the replays that are over."""
        return replace(self, refills=tuple(one for one in self.refills if not is_over(one.id)))


def new_checkpoint(organization: str, until: int, *, now: int, cloud_id: str | None = None) -> Checkpoint:
    """Return the checkpoint of an organization at first contact: live from `until` on."""
    return Checkpoint(
        organization=organization,
        window_end=until,
        live_since=until,
        day_mark=until,
        week_mark=until,
        ledgers_from=0,
        written=now,
        cloud_id=cloud_id,
        active_hours=ActiveHours(),
    )


def from_record(record: dict[str, Any]) -> Checkpoint:
    """Return the checkpoint of a record; the inverse of `Checkpoint.to_record`."""
    return Checkpoint(
        **{
            name: record[name]
            for name in ("organization", "window_end", "live_since", "day_mark", "week_mark")
        },
        ledgers_from=record["ledgers_from"],
        written=record["written"],
        backfilled=tuple(TimeRange(**one) for one in record["backfilled"]),
        pairs=tuple(CompletenessPair(**one) for one in record["pairs"]),
        last_event=_position_from_record(record["last_event"]),
        last_backfill=_position_from_record(record["last_backfill"]),
        cloud_id=record["cloud_id"],
        newest_event=None if record["newest_event"] is None else EventTime(**record["newest_event"]),
        id_reuse=None if record["id_reuse"] is None else IdReuse(**record["id_reuse"]),
        outage=None if record["outage"] is None else TimeRange(**record["outage"]),
        newer_fields=record.get(NEWER_FIELDS, b""),
        unread_ranges=tuple(TimeRange(**one) for one in record["holes"]),
        refills=cursors_from_records(record["refills"], record["refills_unread"]),
        active_hours=None
        if record["active_hours"] is None
        else active_hours_from_record(record["active_hours"]),
    )


def rewind(checkpoint: Checkpoint, bound: int) -> Checkpoint:
    """Return the checkpoint with no cursor after `bound`, and no completeness pair beyond it."""
    window_end = min(checkpoint.window_end, bound)
    return replace(
        checkpoint,
        window_end=window_end,
        day_mark=min(checkpoint.day_mark, bound),
        week_mark=min(checkpoint.week_mark, bound),
        pairs=tuple(pair for pair in checkpoint.pairs if pair.window_end <= window_end),
    )


def with_completeness_pair(checkpoint: Checkpoint, offset: int) -> Checkpoint:
    """Return the checkpoint with a pair for `offset`, the offset of the first event that is not covered.

    Everything up to the window end, or up to the first unread range, was published before it.
    """
    complete = checkpoint.complete_up_to
    kept = tuple(one for one in checkpoint.pairs if one.window_end <= complete and one.offset <= offset)
    if not kept or kept[-1].window_end < complete:
        earlier = tuple(one for one in kept if one.offset < offset)
        kept = thin_pairs((*earlier, CompletenessPair(complete, offset)))
    return replace(checkpoint, pairs=kept)


def with_reused_ids(checkpoint: Checkpoint, count: int, collected: int) -> Checkpoint:
    """Return the checkpoint after `count` more events with a variant, collected at `collected` (ms)."""
    if not count:
        return checkpoint
    before = checkpoint.id_reuse
    if before is None or not before.is_recent(collected):
        before = IdReuse(collected, collected, 0)
    return replace(checkpoint, id_reuse=IdReuse(before.since, collected, before.count + count))


def with_active_hours(checkpoint: Checkpoint, created: Iterable[int], collected: int) -> Checkpoint:
    """Return the checkpoint with the hours of events `created` then and `collected` now (ms)."""
    before = checkpoint.active_hours or ActiveHours(since=collected)
    hours = before.add(created, collected)
    return checkpoint if hours is checkpoint.active_hours else replace(checkpoint, active_hours=hours)


def thin_pairs(pairs: tuple[CompletenessPair, ...], most: int = MAX_PAIRS) -> tuple[CompletenessPair, ...]:
    """Return at most `most` of the pairs, two or more, the oldest and the newest among them, denser towards the newest.

    While there are too many, remove the pair whose two neighbours are the closest in relation to their age: recent time
    stays known to a minute, and a group that is weeks behind still finds a pair of about its time.
    """
    while len(pairs) > most:
        newest = pairs[-1].window_end

        def relative_gap(
            index: int, pairs: tuple[CompletenessPair, ...] = pairs, newest: int = newest
        ) -> float:
            gap = pairs[index + 1].window_end - pairs[index - 1].window_end
            return gap / (newest - pairs[index - 1].window_end)

        worst = min(range(1, len(pairs) - 1), key=relative_gap)
        pairs = pairs[:worst] + pairs[worst + 1 :]
    return pairs


def _position_from_record(record: dict[str, Any] | None) -> EventPosition | None:
    return None if record is None else EventPosition(record["offset"], record["id"])


def _range_to_record(one: TimeRange) -> dict[str, int]:
    return {"start": one.start, "end": one.end}


def _position_to_record(position: EventPosition | None) -> dict[str, int] | None:
    return None if position is None else {"offset": position.offset, "id": position.id}

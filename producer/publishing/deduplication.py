"""Decides whether a record has been published before. Pure.

For nearly every record its id answers that. But a site that was restored from a backup, or whose data was copied over, reuses
the ids of published records for new ones, and a faulty site shows different records with one id. Then a known id is no proof,
and a record left out for it would be lost in silence.

The ledger knows ids by the day of `created`, and the checkpoint the newest published event. A record whose id is known is:

1. Another record, for certain, in three cases. It is published.
   a. It is newer than every published event.
   b. The ledger of its own day lacks the id, and that of another day holds it: the time of a record never changes.
   c. The ids of its day are known to be reused, and it has no time key there. A record with a variant shows the reuse. From
      then on the ledger of that day has a time key, made of `created` and id, for each event after the newest one so far
      (`reused_after`). So a record after that one without a time key is another one, however late it becomes visible.
   This holds after a crash, in re-reads and in backfill: ledger and newest event are committed with the events.
2. Otherwise the published record, if the window shows one record with this id.
3. Undecided, if the window shows several such records that one key proves: the id in the ledger of their day, or their time
   key. Those whose variant is in the ledger were published. One of the others may have been published without a variant. If
   one is left, it is that one. If more are left, each becomes a dead letter: nothing is dropped, and no event is repeated.
   A record of another day is no rival, nor is one with a time key of its own, even if its content has changed since.

A record of case 1 is published with a variant, a hash of its content: `organization/id` would name two records. The same
record always gets the same variant, so the ledger can hold it.

Two reuses are not detected. One concerns the id of a record of the same UTC day, in a record created before the relay
noticed the reuse; one window with both detects it, unless the other was created after that. The other concerns an id whose
ledger is no longer kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from producer.events import Event, UnreadableRecord, content_hash, same_record
from producer.state.checkpoint import Checkpoint, EventTime, with_reused_ids
from producer.state.ledger import Ledger, event_time, variant_key
from relay.timestamps import day_of


class Duplication(Enum):
    """NEW: its id is unknown. DUPLICATE: it is published. REUSED_ID: another record has its id. UNDECIDABLE: case 3 of the module."""

    NEW = "new"
    DUPLICATE = "duplicate"
    REUSED_ID = "reused id"
    UNDECIDABLE = "undecidable"


UNDECIDED: Final = "several different records have the id"
"""How the reason of an undecidable record begins. Its id proves nothing about it, now or later."""

SameId = Mapping[int, Sequence[Event]]
"""Ids that several different records of a window have, with these records."""


def records_with_one_id(events: Iterable[Event]) -> SameId:
    """Return the ids that several different records have."""
    first: dict[int, Event] = {}
    several: dict[int, list[Event]] = {}
    for event in events:
        other = first.setdefault(event["id"], event)
        if other is event:
            continue
        found = several.setdefault(event["id"], [other])
        if not any(same_record(event, one) for one in found):
            found.append(event)
    return {event_id: found for event_id, found in several.items() if len(found) > 1}


@dataclass(slots=True)
class Deduplicator:
    """Decides for the records of one transaction, in their order; `take` notes each that becomes an event."""

    ledger: Ledger
    newest: EventTime | None
    same_id: SameId
    _taken: dict[int, list[Event]] = field(default_factory=dict)

    def check(self, event: Event) -> Duplication:
        taken = self._taken.get(event["id"], ())
        if not taken and not self.ledger.contains(event["id"]):
            return Duplication.NEW  # nearly every record: an event with a time key has the key of its id too
        if self._may_be_published(event):
            return Duplication.UNDECIDABLE if self._is_undecidable(event) else Duplication.DUPLICATE
        if any(same_record(event, one) for one in taken):
            return Duplication.DUPLICATE
        return Duplication.REUSED_ID

    def take(self, event: Event) -> None:
        self._taken.setdefault(event["id"], []).append(event)

    def _may_be_published(self, event: Event) -> bool:
        """Return whether the published record with this id may be this one."""
        time = event_time(event)
        return self.ledger.day_holds(time) and (self.newest is None or time <= self.newest)

    def _is_undecidable(self, event: Event) -> bool:
        rivals = self.same_id.get(event["id"])
        if rivals is None or self._has_variant(event):
            return False
        proof = self._proof(event)
        same_proof = (one for one in rivals if self._proof(one) == proof and self._may_be_published(one))
        return sum(not self._has_variant(one) for one in same_proof) > 1

    def _proof(self, event: Event) -> tuple[str, int]:
        return self.ledger.proof_of(event_time(event))

    def _has_variant(self, event: Event) -> bool:
        return self.ledger.contains(variant_key(content_hash(event)))


def deduplicated(
    event: Event, deduplicator: Deduplicator, restore: Callable[[Event], bytes]
) -> Event | UnreadableRecord | None:
    """Return the event as it is to be published, with a variant if it needs one. None: it is published already.

    An UnreadableRecord: nobody knows whether it is. `restore` returns the JSON of its record.
    """
    match deduplicator.check(event):
        case Duplication.NEW:
            return event
        case Duplication.REUSED_ID:
            return {**event, "variant": f"{content_hash(event):016x}"}
        case Duplication.UNDECIDABLE:
            return UnreadableRecord(
                f"{UNDECIDED} {event['id']}, and it is not known which was published",
                restore(event),
            )
    return None


def newest_event(checkpoint: Checkpoint, ledger: Ledger) -> EventTime | None:
    """Return the newest published event, or an upper bound where an older relay wrote the checkpoint. None: no event."""
    return checkpoint.newest_event or ledger.latest_possible_event()


def reuse_bounds(
    checkpoint: Checkpoint, ledger: Ledger, published: Iterable[Event]
) -> Mapping[str, EventTime]:
    """Return, by day, the newest event before these, if one of them shows that ids of published records are reused.

    No event of the ledger is after it, so each event after it can get a time key from now on. A late event shows the reuse
    too, though it is before the bound itself. The bound's own day has it as well: a late record of that day may still have
    one of its ids. On the days between, nothing after the bound was published.
    """
    newest = newest_event(checkpoint, ledger) or EventTime(0, 0)
    days = {day_of(event["created"]) for event in published if event["variant"] is not None}
    return dict.fromkeys(days | {day_of(newest.created)}, newest) if days else {}


def with_published(checkpoint: Checkpoint, ledger: Ledger, published: Sequence[Event]) -> Checkpoint:
    """Return the checkpoint with the facts that tell a later record with a known id from the one that has it."""
    if not published:
        return checkpoint
    before = newest_event(checkpoint, ledger)
    newest = max(map(event_time, published))
    variants = sum(event["variant"] is not None for event in published)
    return with_reused_ids(
        replace(checkpoint, newest_event=max(before, newest) if before else newest),
        variants,
        published[0]["collected"],
    )

"""What goes into one transaction, decided before it begins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from producer.events import Event, Unreadable, to_json
from producer.sources.jira_cloud.mapping import restore
from producer.state.checkpoint import Checkpoint, Position, with_pair
from producer.state.intervals import Range
from producer.state.ledger import Ledger
from producer.state.mode import is_over, mode_of
from relay.avro.codec import Encoder, Unencodable

MOST_EVENTS = 1_000
MOST_LETTERS = 100
MOST_BYTES = 4_000_000


@dataclass(slots=True)
class Finding:
    """What a walk has read and nobody has published yet, oldest first; drafts are taken from it until it is empty.

    `overlap` in ms; `backfill_from` None: no history is wanted.
    """

    events: list[Event]
    unreadable: list[Unreadable]
    read: Range
    overlap: int
    backfill_from: int | None

    @property
    def empty(self) -> bool:
        return not self.events and not self.unreadable


@dataclass(frozen=True, slots=True)
class Draft:
    """New events of one transaction, complete and encoded, and new dead letters."""

    collected: int
    events: Sequence[Event] = ()
    values: Sequence[bytes] = ()
    unreadable: Sequence[Unreadable] = field(default=())

    @property
    def empty(self) -> bool:
        return not self.events and not self.unreadable


def take(
    finding: Finding, checkpoint: Checkpoint, ledger: Ledger, encoder: Encoder, collected: int, largest: int
) -> Draft:
    """Take as much from the finding as fits one transaction; what is known already or not wanted is passed over.

    An event of more than `largest` bytes becomes a dead letter. Dead letters come after the last events.
    """
    events: dict[int, Event] = {}
    values: list[bytes] = []
    size = passed = 0
    for found in finding.events:
        event = _wanted(found, finding, checkpoint, ledger, collected)
        if event is not None and event["id"] not in events:
            value = _encoded(event, encoder, largest)
            if isinstance(value, Unreadable):
                finding.unreadable.append(value)
            elif events and (len(events) == MOST_EVENTS or size + len(value) > MOST_BYTES):
                break
            else:
                events[event["id"]] = event
                values.append(value)
                size += len(value)
        passed += 1
    del finding.events[:passed]
    unreadable = () if finding.events else _take_letters(finding, size)
    if is_over(finding.read.end - 1, checkpoint):
        unreadable = ()
    return Draft(collected, list(events.values()), values, ledger.new_dead_letters(unreadable))


def _take_letters(finding: Finding, size: int) -> Sequence[Unreadable]:
    count = 0
    for one in finding.unreadable:
        size += len(one.raw)
        if count and (count == MOST_LETTERS or size > MOST_BYTES):
            break
        count += 1
    taken = finding.unreadable[:count]
    del finding.unreadable[:count]
    return taken


def _wanted(
    event: Event, finding: Finding, checkpoint: Checkpoint, ledger: Ledger, collected: int
) -> Event | None:
    mode = mode_of(event["created"], checkpoint, finding.overlap, finding.backfill_from)
    if mode is None or ledger.knows(event["id"]):
        return None
    return {**event, "collected": collected, "mode": mode}


def _encoded(event: Event, encoder: Encoder, largest: int) -> bytes | Unreadable:
    try:
        value = encoder.encode(event)
    except Unencodable as error:
        return Unreadable(str(error), _raw(event))
    if len(value) > largest:
        return Unreadable(f"it makes an event of {len(value)} bytes, more than {largest}", _raw(event))
    return value


def _raw(event: Event) -> bytes:
    return to_json(restore(event)).encode()


def positioned(checkpoint: Checkpoint, draft: Draft, offsets: Sequence[int], *, paired: bool) -> Checkpoint:
    """The checkpoint that is committed with the draft, whose events stand at `offsets`.

    `paired`: with this transaction everything up to the window end is published.
    """
    last_event, last_backfill = checkpoint.last_event, checkpoint.last_backfill
    for event, offset in zip(draft.events, offsets, strict=False):
        position = Position(offset, event["id"])
        if event["mode"] == "backfill":
            last_backfill = position
        else:
            last_event = position
    written = replace(checkpoint, written=draft.collected, last_event=last_event, last_backfill=last_backfill)
    return with_pair(written, last_event.offset + 1 if last_event else 0) if paired else written


Advance = Callable[[Checkpoint], Checkpoint]

"""What goes into one transaction, decided before it begins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from producer.events import Event, UnreadableRecord, to_json
from producer.sources.jira_cloud.mapping import restore_record
from producer.state.checkpoint import Checkpoint, EventPosition, with_completeness_pair
from producer.state.intervals import TimeRange
from producer.state.ledger import Ledger
from producer.state.mode import is_no_longer_read, mode_of
from relay.avro.codec import Encoder, Unencodable

MOST_EVENTS = 1_000
MOST_DEAD_LETTERS = 100
MOST_BYTES = 4_000_000


@dataclass(slots=True)
class PendingRecords:
    """What has been read of a window and nobody has published yet, oldest first; plans take from it until it is empty.

    `overlap` in ms; `backfill_from` None: no history is wanted.
    """

    events: list[Event]
    unreadable: list[UnreadableRecord]
    window: TimeRange
    overlap: int
    backfill_from: int | None

    @property
    def empty(self) -> bool:
        return not self.events and not self.unreadable


@dataclass(frozen=True, slots=True)
class TransactionPlan:
    """New events of one transaction, complete and encoded, and new dead letters."""

    collected: int
    events: Sequence[Event] = ()
    values: Sequence[bytes] = ()
    unreadable: Sequence[UnreadableRecord] = field(default=())

    @property
    def empty(self) -> bool:
        return not self.events and not self.unreadable


def plan_transaction(
    pending: PendingRecords,
    checkpoint: Checkpoint,
    ledger: Ledger,
    encoder: Encoder,
    collected: int,
    max_event_bytes: int,
) -> TransactionPlan:
    """Take as many of the pending records as fit one transaction; what is known already or not wanted is passed over.

    An event of more than `max_event_bytes` bytes becomes a dead letter. Dead letters come after the last events.
    """
    events: dict[int, Event] = {}
    values: list[bytes] = []
    size = consumed = 0
    for candidate in pending.events:
        event = _new_event(candidate, pending, checkpoint, ledger, collected)
        if event is not None and event["id"] not in events:
            value = _encode(event, encoder, max_event_bytes)
            if isinstance(value, UnreadableRecord):
                pending.unreadable.append(value)
            elif events and (len(events) == MOST_EVENTS or size + len(value) > MOST_BYTES):
                break
            else:
                events[event["id"]] = event
                values.append(value)
                size += len(value)
        consumed += 1
    del pending.events[:consumed]
    unreadable = () if pending.events else _take_dead_letters(pending, size)
    if is_no_longer_read(pending.window.end - 1, checkpoint):
        unreadable = ()
    return TransactionPlan(collected, list(events.values()), values, ledger.new_dead_letters(unreadable))


def _take_dead_letters(pending: PendingRecords, size: int) -> Sequence[UnreadableRecord]:
    count = 0
    for one in pending.unreadable:
        size += len(one.raw)
        if count and (count == MOST_DEAD_LETTERS or size > MOST_BYTES):
            break
        count += 1
    taken = pending.unreadable[:count]
    del pending.unreadable[:count]
    return taken


def _new_event(
    event: Event, pending: PendingRecords, checkpoint: Checkpoint, ledger: Ledger, collected: int
) -> Event | None:
    mode = mode_of(event["created"], checkpoint, pending.overlap, pending.backfill_from)
    if mode is None or ledger.contains(event["id"]):
        return None
    return {**event, "collected": collected, "mode": mode}


def _encode(event: Event, encoder: Encoder, max_event_bytes: int) -> bytes | UnreadableRecord:
    try:
        value = encoder.encode(event)
    except Unencodable as error:
        return UnreadableRecord(str(error), _raw_json(event))
    if len(value) > max_event_bytes:
        return UnreadableRecord(
            f"it makes an event of {len(value)} bytes, more than {max_event_bytes}", _raw_json(event)
        )
    return value


def _raw_json(event: Event) -> bytes:
    return to_json(restore_record(event)).encode()


def with_positions(
    checkpoint: Checkpoint, plan: TransactionPlan, offsets: Sequence[int], *, window_complete: bool
) -> Checkpoint:
    """The checkpoint that is committed with the plan, whose events stand at `offsets`.

    `window_complete`: with this transaction everything up to the window end is published.
    """
    last_event, last_backfill = checkpoint.last_event, checkpoint.last_backfill
    for event, offset in zip(plan.events, offsets, strict=False):
        position = EventPosition(offset, event["id"])
        if event["mode"] == "backfill":
            last_backfill = position
        else:
            last_event = position
    written = replace(checkpoint, written=plan.collected, last_event=last_event, last_backfill=last_backfill)
    return (
        with_completeness_pair(written, last_event.offset + 1 if last_event else 0)
        if window_complete
        else written
    )


AdvanceCheckpoint = Callable[[Checkpoint], Checkpoint]

"""Move the offsets of a destination's group: a plan with its exact counts, and the move that was confirmed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consumer.destinations.contract import Flow
from consumer.group_names import group_name
from consumer.offsets.delivered import RecordFingerprint
from management.destination_offsets import progress_of, topic_of
from management.offset_commits import set_offsets
from management.offset_moves import Direction, OffsetMove, plan_move, with_last
from management.offset_notes import notes_on
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from relay.aio import finish
from relay.destination_changes import Change, record_change
from relay.errors import RelayError, describe
from relay.kafka import KAFKA_FAILURES, OffsetAndMetadata, Record, TopicPartition, is_refusal
from relay.kafka.connection import Connection
from relay.kafka.group_offsets import GroupInUseError, GroupOffsets, OpenGroup, open_group
from relay.kafka.log_reader import CorruptBatchError, read_to_end, standalone_consumer
from relay.kafka.producer import TopicWriteError
from relay.kafka.record_search import last_records_before
from relay.kafka.time_index import offsets_at
from relay.kafka.topics import Topics
from relay.replays.refill import replay_of


@dataclass(slots=True)
class MoveCounts:
    """The events whose delivery a move changes: all of them, by organization, and the times of the first and the last (ms UTC)."""

    events: int = 0
    by_organization: Counter[str] = field(default_factory=Counter)
    first_at: int | None = None
    last_at: int | None = None
    unreadable: list[CorruptBatchError] = field(default_factory=list)
    """Batches that cannot be read, so their events are not among `events`."""

    def add(self, record: Record) -> None:
        self.events += 1
        self.by_organization[(record.key or b"").decode(errors="replace")] += 1
        at = record.timestamp
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.last_at = at if self.last_at is None else max(self.last_at, at)


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """A move of one flow that an operator may confirm. `notes`: what differs from what was asked."""

    destination: str
    flow: Flow
    group: str
    topic: str
    direction: Direction
    moves: Sequence[OffsetMove]
    committed: Mapping[TopicPartition, OffsetAndMetadata]
    """What the group had committed when the events were counted."""
    counts: MoveCounts
    notes: Sequence[str]


async def plan(
    connection: Connection,
    destination: str,
    flow: Flow,
    direction: Direction,
    to_ms: int | None,
    ends: Mapping[int, int] | None = None,
) -> PlannedMove:
    """Return the move of a flow to a time (ms UTC of collection; None: the end of the log), with its exact counts.

    `ends`: in place of the present end, that of an earlier plan, by partition; a partition that it lacks is not moved.

    Changes nothing. Raises InputError while the group has members or has not begun, and RelayError.
    """
    topics = Topics(connection.kafka.topic_prefix)
    group, topic = group_name(topics.prefix, destination, flow), topic_of(topics, flow)
    with kafka_errors_as_relay_errors(connection):
        async with open_group(connection, group, topic) as opened:
            offsets = await opened.read()
            _require_no_members(destination, offsets)
            progress = progress_of(offsets)
            if not progress:
                raise InputError(
                    f"Kafka has no offset of the {flow} flow of {destination}: it has not begun, or Kafka has forgotten it, as it does a week"
                    " after the consumers left. Resume it, wait until it delivers, and pause it again; then it can be moved."
                )
        targets = await _targets(connection, offsets, to_ms, ends)
        planned = (plan_move(direction, tp, progress[tp], targets[tp]) for tp in progress)
        moves = await _with_last_records(connection, [move for move in planned if move is not None])
        counts = await _count(connection, offsets, moves)
    return PlannedMove(
        destination,
        flow,
        group,
        topic,
        direction,
        moves,
        offsets.committed,
        counts,
        notes_on(offsets, moves, to_ms, topic, group, counts.unreadable),
    )


def _require_no_members(destination: str, offsets: GroupOffsets) -> None:
    if offsets.members == 0:
        return
    running = (
        "Its consumers are joining" if offsets.members is None else f"It has {offsets.members} consumers"
    )
    raise InputError(
        f"The offsets of {destination} cannot be moved while it is read. {running}: run `jira-relay destinations pause {destination}`,"
        " wait until `jira-relay destinations offsets` shows no consumer (up to a minute), and try again."
    )


async def _targets(
    connection: Connection,
    offsets: GroupOffsets,
    to_ms: int | None,
    ends: Mapping[int, int] | None,
) -> Mapping[TopicPartition, int]:
    """Return the first offset of each partition whose event was collected at `to_ms` or later; the end, if there is none."""
    present = {tp: bounds.last_stable_offset for tp, bounds in offsets.bounds.items()}
    if to_ms is None:
        return (
            present if ends is None else {tp: min(ends.get(tp.partition, 0), present[tp]) for tp in present}
        )
    async with standalone_consumer(connection) as consumer:
        targets = await offsets_at(consumer, to_ms, present)
    return {tp: max(offsets.bounds[tp].log_start_offset, target) for tp, target in targets.items()}


async def _with_last_records(connection: Connection, moves: Sequence[OffsetMove]) -> list[OffsetMove]:
    found = await last_records_before(connection, {move.partition: move.after.offset for move in moves})
    return [
        with_last(move, RecordFingerprint.of(found[move.partition]) if move.partition in found else None)
        for move in moves
    ]


async def _count(connection: Connection, offsets: GroupOffsets, moves: Sequence[OffsetMove]) -> MoveCounts:
    counts, moves_by_partition = MoveCounts(), {move.partition: move for move in moves}
    starts = {
        move.partition: max(move.first, offsets.bounds[move.partition].log_start_offset) for move in moves
    }
    stops = {
        move.partition: min(move.stop, offsets.bounds[move.partition].last_stable_offset) for move in moves
    }

    def count(record: Record) -> None:
        if replay_of(record.headers) is not None:
            return  # of one replay alone: the flow passes over it
        if moves_by_partition[TopicPartition(record.topic, record.partition)].changes(record.offset):
            counts.add(record)

    async with standalone_consumer(connection) as consumer:
        await read_to_end(consumer, starts, stops, count, on_corrupt=counts.unreadable.append)
    return counts


async def move(connection: Connection, planned: PlannedMove, author: str, now_ms: int) -> str | None:
    """Set the offsets, and write the move to the history of changes. Returns what failed after the offsets were set, or None.

    An interrupt waits for both, so that no move is without its record. Raises InputError, and sets no offset, if the group has
    members now; raises RelayError if the outcome is not known.
    """
    return await finish(_set_and_record(connection, planned, author, now_ms))


async def _set_and_record(
    connection: Connection, planned: PlannedMove, author: str, now_ms: int
) -> str | None:
    await _set_offsets(connection, planned)
    before = {each.partition: each.before.offset for each in planned.moves}
    after = {each.partition: each.after.offset for each in planned.moves}
    change = Change(
        planned.destination,
        author,
        now_ms,
        "rewound" if planned.direction == "rewind" else "skipped",
        _facts(planned, before),
        _facts(planned, after),
    )
    try:
        await record_change(connection, change)
    except TopicWriteError as error:
        return f"The offsets are set, but the history of changes does not show it: {error}"
    return None


async def _set_offsets(connection: Connection, planned: PlannedMove) -> None:
    with kafka_errors_as_relay_errors(connection):
        async with open_group(connection, planned.group, planned.topic) as opened:
            await _require_unmoved(opened, planned)
            try:
                await set_offsets(opened, planned.moves)
            except GroupInUseError as error:
                raise InputError(
                    f"{error} Run `jira-relay destinations pause {planned.destination}` first."
                ) from error
            except KAFKA_FAILURES as error:
                if is_refusal(error):
                    raise
                raise RelayError(
                    f"It is not known whether the offsets of {planned.destination} are set: {describe(error)}. The history of changes"
                    f" does not show it. Look with `jira-relay destinations offsets {planned.destination}`, and run the command again."
                ) from error


async def _require_unmoved(opened: OpenGroup, planned: PlannedMove) -> None:
    committed = (await opened.read()).committed
    if any(committed.get(each.partition) != planned.committed[each.partition] for each in planned.moves):
        raise RelayError(
            f"The offsets of {planned.destination} have changed since they were counted. Nothing was set; run the command again."
        )


def _facts(planned: PlannedMove, offsets: Mapping[TopicPartition, int]) -> Mapping[str, object]:
    numbers = {str(tp.partition): offset for tp, offset in offsets.items()}
    return {"flow": planned.flow, "events": planned.counts.events, "offsets": numbers}

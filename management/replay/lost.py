"""Replays of lost events: a range that retention overtook, from an archive or from the source again."""

from collections.abc import Sequence
from dataclasses import replace

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import Kinds
from consumer.losses.lost_range import SOURCE_DAYS, LostRange
from management.formatting import iso_seconds
from management.lost_ranges import find_lost_range, read_lost_ranges
from management.organizations.store import kafka_errors_as_relay_errors, read_organizations
from management.organizations.validation import InputError
from management.replay.archive import Destinations
from management.replay.archive_skips import skips_note
from management.replay.deleted_organizations import deletions_note
from management.replay.plan import ReplayPlan, wanted_partitions
from management.replay.request import ReplayRequest, check_request, target_address
from management.replay.start import PlannedReplay
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import partitions_of, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics, partition_of
from relay.organizations import Organization
from relay.replays.job import ReplayLost, ReplayRange
from relay.timestamps import DAY_MS

OVERLAP_MS = 900_000
"""How long before its collection an event may have been created, unless it is late: the overlap of live polling, at most."""


async def plan_lost(
    connection: Connection,
    destinations: Destinations,
    request: ReplayRequest,
    entry: str,
    now_ms: int,
    kinds: Kinds = DESTINATIONS,
) -> PlannedReplay:
    """Plan the replay of one lost range, such as `events/3/1200`: exactly its offsets from `request.archive`, or a refill.

    Raises InputError, or RelayError.
    """
    found = await read_lost_ranges(connection, destinations, request.destination, now_ms)
    lost = find_lost_range(found.ranges, request.destination, entry)
    if request.archive is not None:
        asked = replace(request, from_ms=lost.collected_from or 0, to_ms=lost.collected_before + 1)
        check_request(asked, destinations, now_ms, kinds)
        ranges = [ReplayRange(lost.topic, lost.partition, lost.start, lost.stop)]
        target = target_address(destinations[asked.destination], kinds, to_live=asked.to_live)
        planned = PlannedReplay(asked, ReplayPlan(ranges, {}, {}), (), target)
        return _for_lost(planned, lost, await skips_note(connection, request.archive, ranges))
    organizations, deletions = await _in_partition(connection, lost)
    topics = Topics(connection.kafka.topic_prefix)
    from_ms, to_ms = _window(lost, organizations, topics, now_ms)
    names = tuple(each.name for each in organizations)
    asked = replace(request, by="created", from_ms=from_ms, to_ms=to_ms, organizations=names)
    planned = await plan_refill(connection, destinations, asked, now_ms, kinds)
    if lost.topic == topics.events:
        late = (
            f"Lost events that became visible late, and were created before {iso_seconds(from_ms)}, are not read: for them, run"
            " `jira-relay replay start --refill` with a --from up to seven days earlier."
        )
        planned = replace(planned, notes=[*planned.notes, late])
    lacks = [] if deletions is None else [deletions]
    if _wanted_start(lost, organizations, topics, now_ms) < from_ms:
        lacks.append(
            f"The source keeps records for {SOURCE_DAYS} days, so lost events that were created before {iso_seconds(from_ms)} are gone."
        )
    return _for_lost(planned, lost, " ".join(lacks) or None)


def _for_lost(planned: PlannedReplay, lost: LostRange, lack: str | None) -> PlannedReplay:
    """Return the replay that brings a range back, so that its end takes the range off the list; not if it lacks events of it."""
    if lack is None:
        brought_back = ReplayLost(lost.topic, lost.partition, lost.start, lost.stop, lost.at)
        return replace(planned, lost=brought_back)
    text = f"{lack} So the range stays on the list until `jira-relay destinations dismiss {lost.destination} {lost.name}`."
    return replace(planned, notes=[*planned.notes, text])


async def plan_refill(
    connection: Connection,
    destinations: Destinations,
    request: ReplayRequest,
    now_ms: int,
    kinds: Kinds = DESTINATIONS,
) -> PlannedReplay:
    """Plan a replay whose window, by `created`, the producers read from the source again. Raises InputError, or RelayError."""
    if request.archive is not None or request.events or request.from_ms is None:
        raise InputError(
            "A refill reads a window from the source: give `from` and `to`, and neither `archive` nor `event`."
        )
    asked = replace(request, by="created", to_ms=min(request.to_ms or now_ms, now_ms))
    check_request(asked, destinations, now_ms, kinds)
    if request.from_ms < now_ms - SOURCE_DAYS * DAY_MS:
        raise InputError(
            f"The source keeps records for {SOURCE_DAYS} days: give `from` {iso_seconds(now_ms - (SOURCE_DAYS - 1) * DAY_MS)} or later."
        )
    known = await read_organizations(connection)
    asked = replace(asked, organizations=tuple(dict.fromkeys(asked.organizations)) or tuple(sorted(known)))
    for name in asked.organizations:
        if name not in known:
            raise InputError(
                f"There is no organization {name}, so no producer can read its records. `jira-relay organizations list` shows all."
            )
    plan = await _backfill_ends(connection, asked.organizations)
    target = target_address(destinations[asked.destination], kinds, to_live=asked.to_live)
    notes = _notes([known[name] for name in asked.organizations])
    return PlannedReplay(asked, plan, notes, target, content="refill")


async def _in_partition(connection: Connection, lost: LostRange) -> tuple[Sequence[Organization], str | None]:
    """Return the organizations whose events the partition holds, and a note on deleted ones.

    Raises InputError if there are none any more.
    """
    known = await read_organizations(connection)
    async with standalone_consumer(connection) as consumer:
        count = len(await partitions_of(consumer, lost.topic))
    found = [each for name, each in sorted(known.items()) if partition_of(name, count) == lost.partition]
    if not found:
        raise InputError(
            f"No organization has its events in {lost.topic}, partition {lost.partition}, any more, so the source cannot be read."
            f" Give --archive, or run `jira-relay destinations dismiss {lost.destination} {lost.name}`."
        )
    return found, await deletions_note(connection, lost, known, count)


def _window(
    lost: LostRange, organizations: Sequence[Organization], topics: Topics, now_ms: int
) -> tuple[int, int]:
    """Return the window of `created` that holds the lost events, as far back as the source keeps records."""
    earliest = _earliest(now_ms)
    start, stop = _wanted_start(lost, organizations, topics, now_ms), lost.collected_before
    if lost.topic == topics.backfill:
        stop = max(each.added for each in organizations)
    elif lost.collected_from is None:
        start = earliest  # an organization that was added anew may have older events
    start = max(earliest, start)
    if start >= stop:
        raise InputError(
            f"The lost events were collected before {iso_seconds(lost.collected_before)}, and the source keeps records for"
            f" {SOURCE_DAYS} days, so they are gone. Give --archive, or run"
            f" `jira-relay destinations dismiss {lost.destination} {lost.name}`."
        )
    return start, stop


def _earliest(now_ms: int) -> int:
    """Return the first `created` that the source still has, with time for the refill to begin."""
    return now_ms - SOURCE_DAYS * DAY_MS + OVERLAP_MS


def _wanted_start(lost: LostRange, organizations: Sequence[Organization], topics: Topics, now_ms: int) -> int:
    """Return from which `created` on events may be lost. Those of backfill may be of any time that was backfilled."""
    if lost.topic == topics.backfill:
        starts = [each.backfill_from for each in organizations if each.backfill_from is not None]
        return min(starts, default=_earliest(now_ms))
    if lost.collected_from is None:
        return min(each.added for each in organizations) - OVERLAP_MS
    return lost.collected_from - OVERLAP_MS


async def _backfill_ends(connection: Connection, organizations: Sequence[str]) -> ReplayPlan:
    """Return a plan that begins at the present ends of the topic of backfill: the producers write behind them."""
    topic = Topics(connection.kafka.topic_prefix).backfill
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        async with standalone_consumer(connection) as consumer:
            numbers = await partitions_of(consumer, topic)
            tps = [TopicPartition(topic, each) for each in wanted_partitions(organizations, numbers)]
            bounds = await stable_bounds(consumer, tps)
    ends = {tp: bounds[tp].last_stable_offset for tp in tps}
    ranges = [ReplayRange(topic, tp.partition, end, end) for tp, end in ends.items()]
    return ReplayPlan(ranges, {}, {topic: len(numbers)})


def _notes(organizations: Sequence[Organization]) -> Sequence[str]:
    names = ", ".join(each.name for each in organizations)
    repeats = "Events that the destination has already are sent once more: EventUid identifies them."
    notes = [f"The producers read every record of the window from the source, for {names}. {repeats}"]
    paused = [each.name for each in organizations if each.paused]
    if paused:
        notes.append(
            f"{', '.join(paused)}: paused, so the replay waits for `jira-relay organizations resume {paused[0]}`."
        )
    return notes

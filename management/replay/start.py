"""Start a replay: everything is checked and planned before its job is written."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig, Kinds
from management.destination_view import DestinationView
from management.destinations import read_destinations
from management.organizations.store import kafka_errors_as_relay_errors, read_organizations
from management.organizations.validation import InputError
from management.replay.archive import conditions, fit_archives, opened_archive
from management.replay.archive_skips import skips_note
from management.replay.jobs import read_replays
from management.replay.notes import deleted_note, notes_on
from management.replay.plan import ReplayPlan, plan_ranges
from management.replay.request import ReplayRequest, check_request, target_address
from relay.kafka.connection import Connection
from relay.kafka.log_reader import standalone_consumer
from relay.kafka.time_index import first_records
from relay.replays.job import Content, ReplayJob, ReplayLost, ReplayRange, new_replay_id


@dataclass(frozen=True, slots=True)
class PlannedReplay:
    """A replay that an operator may confirm. `notes`: sentences on the destination and the window to read before."""

    request: ReplayRequest
    plan: ReplayPlan
    notes: Sequence[str]
    target: str | None
    """Where the events go, as `target_address` says."""
    content: Content = "events"
    lost: ReplayLost | None = None
    """The lost range that it brings back; None: none."""

    def job(self, who: str, now_ms: int) -> ReplayJob:
        """Return the job, with a new id."""
        asked = self.request
        return ReplayJob(
            id=new_replay_id(now_ms, secrets.randbits(16)),
            destination=asked.destination,
            content=self.content,
            requested_at=now_ms,
            requested_by=who,
            wished="running",
            wished_at=now_ms,
            wished_by=who,
            by=asked.by,
            from_ms=asked.from_ms,
            to_ms=asked.to_ms,
            organizations=tuple(asked.organizations),
            events=tuple(asked.events),
            where=asked.where,
            archive=asked.archive,
            to_live=asked.to_live,
            rate=asked.rate,
            ranges=tuple(self.plan.ranges),
            target=self.target,
            lost=self.lost,
        )


async def plan_replay(
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    request: ReplayRequest,
    now_ms: int,
    kinds: Kinds = DESTINATIONS,
) -> PlannedReplay:
    """Check and plan a replay. Writes nothing.

    Raises InputError for a request that cannot be fulfilled, and RelayError.
    """
    check_request(request, destinations, now_ms, kinds)
    request = replace(
        request,
        events=tuple(dict.fromkeys(request.events)),
        organizations=tuple(dict.fromkeys(request.organizations)),
    )
    wanted = conditions(destinations[request.destination], request.where)
    plan = await _plan(connection, destinations, request, wanted)
    deleted = deleted_note(plan.begins, request, fit_archives(destinations, wanted))
    await _require_organizations(connection, request, plan, deleted)
    if not plan.ranges:
        raise InputError(" ".join(filter(None, ("Kafka has no event of this window.", deleted))))
    view = await _view(connection, request.destination, destinations, now_ms)
    others = [
        each.job.id
        for each in (await read_replays(connection, now_ms)).views
        if each.job.destination == request.destination and not each.ended
    ]
    skips = None if request.archive is None else await skips_note(connection, request.archive, plan.ranges)
    notes = [*notes_on(request, view, others, now_ms), *filter(None, (deleted, skips))]
    target = target_address(destinations[request.destination], kinds, to_live=request.to_live)
    return PlannedReplay(request, plan, notes, target)


async def _plan(
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    request: ReplayRequest,
    wanted: Sequence[str],
) -> ReplayPlan:
    if request.archive is None:
        return await plan_ranges(connection, request)
    async with opened_archive(
        connection, destinations, request.archive, wanted, request.by, request.from_ms, None
    ) as archive:
        return await plan_ranges(connection, request, archive.plan)


async def _view(
    connection: Connection, name: str, destinations: Mapping[str, DestinationConfig], now_ms: int
) -> DestinationView:
    (view,) = await read_destinations(connection, {name: destinations[name]}, now_ms)
    return view


async def _require_organizations(
    connection: Connection, request: ReplayRequest, plan: ReplayPlan, deleted: str | None
) -> None:
    """Raise InputError for an organization that does not exist and of which the ranges hold no event: it is mistyped.

    One that was deleted has its events still. An archive may have them alone, so the question is left to the replay then.
    """
    unknown = []
    if request.keys and request.archive is None:
        known = await read_organizations(connection)
        unknown = [name for name in request.keys if name not in known]
    for name in unknown:
        if not await _has_events(connection, name, plan.ranges_of(name)):
            near = get_close_matches(name, known, n=1)
            advice = f"Did you mean {near[0]}?" if near else "`jira-relay organizations list` shows all."
            fact = f"There is no organization {name}, and Kafka has no event of one with this name in the window."
            raise InputError(" ".join(filter(None, (fact, advice, deleted))))


async def _has_events(connection: Connection, name: str, ranges: Sequence[ReplayRange]) -> bool:
    """Return whether the ranges hold an event of an organization. Reads each until the first one."""
    key = name.encode()
    with kafka_errors_as_relay_errors(connection):
        async with standalone_consumer(connection) as consumer:
            for each in ranges:
                start, end = {each.tp: each.start}, {each.tp: each.end}
                if await first_records(consumer, start, end, lambda record: record.key == key):
                    return True
    return False

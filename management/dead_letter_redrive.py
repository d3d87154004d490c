"""Redrive dead letters: one job for each destination that refused them."""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig, Kinds
from management.dead_letter_plan import DestinationLetters, collect_letters, count_events
from management.destinations import read_destinations, require_known
from management.organizations.store import read_organizations
from management.organizations.validation import InputError
from management.replay.jobs import read_replays
from management.replay.request import target_address
from relay.config.schema_registry import SchemaRegistryConfig
from relay.dead_letters.selection import LetterSelection
from relay.kafka.connection import Connection
from relay.replays.job import ReplayJob, new_replay_id


@dataclass(frozen=True, slots=True)
class RedriveRequest:
    """The letters that an operator wants delivered, and how. `selection` says nothing of states: open letters are meant."""

    selection: LetterSelection
    to_live: bool = False
    rate: int | None = None
    """Events a second, at most; None: as fast as the destination takes them beside live events."""


@dataclass(frozen=True, slots=True)
class PlannedRedrive:
    """The job of one destination, with the letters that it is for, and sentences to read before."""

    job: ReplayJob
    letters: DestinationLetters
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class RedrivePlan:
    """The jobs of a redrive, and the letters that stay open for another reason than their content: sentence and number."""

    jobs: Sequence[PlannedRedrive]
    left: Counter[str]
    corrupt: Sequence[str] = ()
    """A sentence for each batch of the topic that cannot be read; its letters stay open."""


async def plan_redrive(
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    registry: SchemaRegistryConfig,
    request: RedriveRequest,
    who: str,
    now_ms: int,
    kinds: Kinds = DESTINATIONS,
) -> RedrivePlan:
    """Plan a redrive, with the exact numbers of a run now. Writes nothing. Raises InputError, or RelayError."""
    selection = request.selection
    if selection.destination is not None:
        require_known(destinations, selection.destination)
    if request.rate is not None and request.rate < 1:
        raise InputError("The rate must be at least 1 event a second; leave --rate out for no limit.")
    organizations = await read_organizations(connection)
    plan = await collect_letters(connection, selection, destinations, organizations, to_live=request.to_live)
    jobs = []
    for name, letters in sorted(plan.by_destination.items()):
        _require_target(name, destinations[name], kinds, to_live=request.to_live)
        target = target_address(destinations[name], kinds, to_live=request.to_live)
        job = _job(request, letters, target, who, now_ms)
        await count_events(connection, registry, destinations[name], job, letters)
        notes = await _notes(connection, name, destinations, now_ms)
        if letters.events:
            jobs.append(PlannedRedrive(job, letters, notes))
        else:
            plan.left.update(letters.skipped)
    return RedrivePlan(jobs, plan.left, plan.corrupt)


async def require_no_other(connection: Connection, jobs: Sequence[PlannedRedrive], now_ms: int) -> None:
    """Raise InputError while another redrive of one of the destinations goes on: both would deliver the same letters."""
    names = {each.job.destination for each in jobs}
    for view in (await read_replays(connection, now_ms)).views:
        if view.job.content == "dead-letters" and view.job.destination in names and not view.ended:
            raise InputError(
                f"The replay {view.job.id} redrives dead letters of {view.job.destination} already, since it was started by"
                f" {view.job.requested_by}. Wait until it has ended (`jira-relay replay follow {view.job.id}`), or cancel it."
            )


def _require_target(name: str, config: DestinationConfig, kinds: Kinds, *, to_live: bool) -> None:
    if to_live or "history" in kinds[config.kind].identity(config):
        return
    raise InputError(
        f"The destination {name} has no target for history, so its letters would go where new events go, and rules could raise alarms."
        " Set its target for history (docs/destinations), give --to-live, or leave it out with --destination."
    )


def _job(
    request: RedriveRequest, letters: DestinationLetters, target: str | None, who: str, now_ms: int
) -> ReplayJob:
    selection = request.selection
    named = selection.organizations or (letters.organizations if letters.left_deleted else ())
    return ReplayJob(
        id=new_replay_id(now_ms, secrets.randbits(16)),
        destination=letters.destination,
        content="dead-letters",
        requested_at=now_ms,
        requested_by=who,
        wished="running",
        wished_at=now_ms,
        wished_by=who,
        from_ms=selection.from_ms,
        to_ms=selection.to_ms,
        organizations=tuple(sorted(named)),
        reason=selection.reason,
        to_live=request.to_live,
        rate=request.rate,
        ranges=letters.ranges(),
        target=target,
    )


async def _notes(
    connection: Connection, name: str, destinations: Mapping[str, DestinationConfig], now_ms: int
) -> Sequence[str]:
    (view,) = await read_destinations(connection, {name: destinations[name]}, now_ms)
    if view.state == "paused":
        return [f"{name} is {view.reason}. The redrive waits until `jira-relay destinations resume {name}`."]
    if view.state == "no consumer":
        return [
            f"No consumer of {name} runs now ({view.reason}). The redrive waits until one does: `jira-relay consume`."
        ]
    return []

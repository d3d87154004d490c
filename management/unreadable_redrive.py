"""Redrive producers' dead letters: one job, for the producers, to read their records again and to publish them."""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from management.corrupt_letters import CorruptLetters
from management.dead_letter_summary import LetterSummary
from management.organizations.store import kafka_errors_as_relay_errors, read_organizations
from management.organizations.validation import InputError
from management.replay.jobs import read_replays
from producer.events import Event, UnreadableRecord
from relay.dead_letters.assembly import WholeLetter
from relay.dead_letters.log import open_letter_log
from relay.dead_letters.selection import LetterSelection
from relay.kafka.connection import Connection
from relay.organizations import Organization
from relay.replays.job import ReplayJob, ReplayRange, new_replay_id
from relay.replays.unreadable import PRODUCERS

ParseRecord = Callable[[bytes, Organization], Event | UnreadableRecord]
"""Reads the record of a letter, as the source of its organization does in this release."""

NOTHING_READABLE = "There is no dead letter of a producer whose record this release can read."
_MAX_NAMED = 5


@dataclass(slots=True)
class UnreadablePlan:
    """The open letters of producers. The counts are by this machine's release; the producers' one decides.

    `readable`: letters by organization whose record is an event now; those that were published meanwhile too. `still`: by the
    reason of today, letters that stay open. `left`: letters that no job is for, by the reason. `job` None: there is nothing to do.
    """

    summary: LetterSummary = field(default_factory=LetterSummary)
    readable: Counter[str] = field(default_factory=Counter)
    still: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    corrupt: Sequence[str] = ()
    notes: Sequence[str] = ()
    job: ReplayJob | None = None


async def plan_unreadable_redrive(
    connection: Connection, parse_record: ParseRecord, selection: LetterSelection, who: str, now_ms: int
) -> UnreadablePlan:
    """Plan the redrive of the open letters of a selection. Writes nothing. Raises RelayError."""
    plan, organizations = UnreadablePlan(), await read_organizations(connection)
    wanted, bounds = replace(selection, state="open", by_producer=True), _Bounds()
    corrupt = CorruptLetters()
    with kafka_errors_as_relay_errors(connection):
        async with open_letter_log(connection, selection.only_organization, corrupt.add) as log:
            async for whole, state in log.letters():
                if wanted.keeps(whole.letter, state) and _add(plan, whole, organizations, parse_record):
                    bounds.add(log.topic, whole)
    names = sorted(plan.readable)
    plan.corrupt = corrupt.texts
    plan.notes = _notes(names, organizations)
    if names:
        plan.job = _job(selection, names, bounds.ranges(), who, now_ms)
    return plan


def unreadable_text(plan: UnreadablePlan) -> str:
    """Return what the job of a plan does."""
    readable = plan.readable.total()
    return (
        f"The producers read {readable + plan.still.total():,} dead letters again. This release reads {readable:,} of their records; each is"
        " published, unless it was published meanwhile, and its letter is marked."
    )


async def require_no_other_unreadable(
    connection: Connection, organizations: Collection[str], now_ms: int
) -> None:
    """Raise InputError while another redrive of producers' letters of one of these organizations goes on."""
    for view in (await read_replays(connection, now_ms)).views:
        shared = [name for name in view.job.organizations if name in organizations]
        if view.job.content == "unreadable" and not view.ended and shared:
            raise InputError(
                f"The replay {view.job.id} redrives producers' dead letters of {shared[0]} already, since it was started by {view.job.requested_by}. Wait"
                f" until it has ended (`jira-relay replay follow {view.job.id}`), or cancel it."
            )


def _add(
    plan: UnreadablePlan,
    whole: WholeLetter,
    organizations: Mapping[str, Organization],
    parse_record: ParseRecord,
) -> bool:
    """Count a letter. Return whether the job is for it."""
    name = whole.letter.organization or ""
    content, remark = whole.content()
    if name not in organizations:
        plan.left[_deleted_text(name)] += 1
        return False
    if remark is not None:
        plan.left[f"The letter is incomplete: {remark}"] += 1
        return False
    plan.summary.add(whole.letter, "open")
    found = parse_record(content, organizations[name])
    if isinstance(found, UnreadableRecord):
        plan.still[found.reason] += 1
    else:
        plan.readable[name] += 1
    return True


def _deleted_text(name: str) -> str:
    if not name:
        return "The letter names no organization."
    return (
        f"The organization {name} was deleted, so no producer has its ledgers. Add it again under this name to redrive its letters, or keep"
        f" their records with `jira-relay dead-letters export --organization {name}`."
    )


def _notes(names: Sequence[str], organizations: Mapping[str, Organization]) -> Sequence[str]:
    paused = [name for name in names if organizations[name].paused]
    notes = [
        f"{name} is paused. Its letters wait until `jira-relay organizations resume {name}`."
        for name in paused[:_MAX_NAMED]
    ]
    if len(paused) > _MAX_NAMED:
        notes.append(f"So it is with {len(paused) - _MAX_NAMED} more organizations.")
    return notes


@dataclass(slots=True)
class _Bounds:
    """The first and the last offset of the letters of a job, by partition."""

    found: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    def add(self, topic: str, whole: WholeLetter) -> None:
        key, stop = (topic, whole.letter.partition), whole.offsets[-1] + 1
        first, last = self.found.get(key, (whole.letter.offset, stop))
        self.found[key] = (min(first, whole.letter.offset), max(last, stop))

    def ranges(self) -> tuple[ReplayRange, ...]:
        return tuple(ReplayRange(*key, *bounds) for key, bounds in sorted(self.found.items()))


def _job(
    selection: LetterSelection, names: Sequence[str], ranges: tuple[ReplayRange, ...], who: str, now_ms: int
) -> ReplayJob:
    return ReplayJob(
        id=new_replay_id(now_ms, secrets.randbits(16)),
        destination=PRODUCERS,
        content="unreadable",
        requested_at=now_ms,
        requested_by=who,
        wished="running",
        wished_at=now_ms,
        wished_by=who,
        from_ms=selection.from_ms,
        to_ms=selection.to_ms,
        organizations=tuple(names),
        reason=selection.reason,
        ranges=ranges,
    )

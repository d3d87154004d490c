"""The progress of a redrive of producers' dead letters, made of the producers' reports: no consumer has a part of it. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from relay.avro.codec import BadBody, NotAvro, UnknownSchema
from relay.replays.job import ReplayJob, ReplayProgress, ReplaySkip, State
from relay.replays.refill import RefillProgress

PRODUCERS: Final = "producers"
"""In the place of the destination of such a job."""
PUBLISHED_BEFORE: Final = (
    "The record was published before, so the letter is marked, and nothing was published."
)
MAX_NAMED: Final = 3
"""Organizations that the reason names; the others are counted."""

_UNREADABLE = (NotAvro, BadBody, UnknownSchema)


def progress_of_reports(job: ReplayJob, reports: Mapping[str, bytes]) -> ReplayProgress | None:
    """Return the progress of the whole job; None: no producer has reported yet, and the job is to run.

    A wish to pause or to cancel counts at once: a producer follows it after the transaction that is under way.
    """
    parts = decoded_reports(job, reports)
    state = _state(job, parts)
    if state == "waiting" and not parts:
        return None
    at = max((each.at for each in parts.values()), default=job.wished_at)
    left = Counter({PUBLISHED_BEFORE: sum(each.known for each in parts.values())})
    for part in parts.values():
        left.update({each.reason: each.count for each in part.skips})
    sent = sum(each.events for each in parts.values())
    return ReplayProgress(
        job.id,
        state,
        since=at if state in {"done", "running", "waiting"} else job.wished_at,
        at=at,
        owner=PRODUCERS,
        started_at=min((each.since for each in parts.values()), default=job.wished_at),
        reason=_reason(job, parts, state),
        finished_at=at if state == "done" else job.wished_at if state == "cancelled" else None,
        read=sent + left.total(),
        sent=sent,
        skipped=left.total(),
        lost=sum(each.lost for each in parts.values()),
        skips=tuple(ReplaySkip(*each) for each in sorted((+left).items())),
    )


def decoded_reports(job: ReplayJob, reports: Mapping[str, bytes]) -> dict[str, RefillProgress]:
    """Return the reports on the organizations of the job that can be read; one of a later release is waited for."""
    found = {}
    for name in job.organizations:
        try:
            if name in reports:
                found[name] = RefillProgress.from_value(reports[name])
        except _UNREADABLE:
            continue
    return found


def _state(job: ReplayJob, parts: Mapping[str, RefillProgress]) -> State:
    if all(name in parts and parts[name].ended for name in job.organizations):
        return "done"
    if job.wished != "running":
        return "cancelled" if job.wished == "cancelled" else "paused"
    moving = any(not each.ended and each.reason is None for each in parts.values())
    return "running" if moving else "waiting"


def _reason(job: ReplayJob, parts: Mapping[str, RefillProgress], state: State) -> str | None:
    """Return what holds up the organizations that are left, or what the job lacks at its end."""
    names = [
        name for name in job.organizations if state == "done" or name not in parts or not parts[name].ended
    ]
    if state in {"paused", "cancelled"}:
        return None
    texts = [text for name in names if (text := _text(name, parts.get(name)))]
    more = [f"So it is with {len(texts) - MAX_NAMED} more organizations."] if len(texts) > MAX_NAMED else []
    return " ".join([*texts[:MAX_NAMED], *more]) or None


def _text(name: str, part: RefillProgress | None) -> str | None:
    if part is not None:
        return part.reason
    return (
        f"{name} is not begun. Make sure that producers run and that `jira-relay organizations list` shows {name}, or cancel the"
        " replay."
    )

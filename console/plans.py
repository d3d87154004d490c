"""Plans that a person confirms: a signed form field carries exactly the jobs that were counted and shown."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from console.context import ConsoleContext
from management.organizations.validation import InputError
from relay.replays.job import ReplayJob
from relay.replays.store import decode_job, encode_job

PLAN_MS = 3_600_000
"""A plan is confirmed within an hour: its offsets are those of the moment when it was made."""


@dataclass(frozen=True, slots=True)
class ConfirmedPlan:
    """The jobs that a person confirms. `kind`: `replay` or `redrive`; `texts`: what was counted, as the page showed it."""

    kind: str
    jobs: tuple[ReplayJob, ...]
    texts: tuple[str, ...]


def sign_plan(context: ConsoleContext, plan: ConfirmedPlan) -> str:
    """Return a plan as the value of a form field. Its confirmation starts the jobs that were counted, and no others."""
    jobs = [b64encode(encode_job(each)).decode() for each in plan.jobs]
    return context.access.sign_plan([plan.kind, str(len(jobs)), *jobs, *plan.texts])


def read_plan(context: ConsoleContext, value: str, kind: str) -> ConfirmedPlan:
    """Return the plan in a form field. Raises InputError if it is too old, of another kind, or not made by this console."""
    found = read_signed(context, value, kind)
    count = int(found[0])
    jobs = tuple(decode_job(b64decode(each)) for each in found[1 : count + 1])
    require_recent(context, min(each.requested_at for each in jobs))
    return ConfirmedPlan(kind, jobs, tuple(found[count + 1 :]))


def read_signed(context: ConsoleContext, value: str, kind: str) -> Sequence[str]:
    """Return what a form field carries behind its kind. Raises InputError if no console of this token made it for this kind."""
    found_kind, *found = context.access.plan(value) or [""]
    if found_kind != kind:
        raise InputError("The plan was not made by this console, or with another token. Make it again.")
    return found


def require_recent(context: ConsoleContext, planned_at: int) -> None:
    """Raise InputError for a plan that is older than an hour."""
    if context.now_ms() - planned_at > PLAN_MS:
        raise InputError("The plan is older than an hour, and Kafka has changed since. Make it again.")

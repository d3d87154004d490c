"""Redriving dead letters of destinations: its fields, its numbers by reason and organization, and what its confirmation needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.routing import BaseRoute

from console.context import ConsoleContext
from console.pages.planned_jobs import JobForm, job_routes
from console.pages.replays import TEXTS
from console.plans import ConfirmedPlan
from console.redrive_plans import plan_letters
from console.rendering import Pages
from management.dead_letter_documents import skipped_texts
from management.dead_letter_fields import REDRIVE_FIELDS
from management.dead_letter_plan import DestinationLetters
from management.dead_letter_redrive import PlannedRedrive, RedrivePlan, require_no_other
from management.destinations import require_known
from management.fields import FieldValues
from management.organizations.validation import InputError
from management.replay.texts import target_text
from relay.quantities import quantity
from relay.replays.job import ReplayJob


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    page = _Redrive(context)
    form = JobForm(
        "redrive",
        "/dead-letters/redrive",
        "/dead-letters/redrive/plan",
        "dead_letter_redrive.html",
        "dead_letter_redrive_plan.html",
        REDRIVE_FIELDS,
        page.plan,
        page.form_values,
        _plan_values,
        lambda job: f"The replay {job.id} to {job.destination} is started.",
        "redrive",
        page.check,
        page.require_no_conflict,
    )
    return job_routes(context, pages, form)


class _Redrive:
    def __init__(self, context: ConsoleContext) -> None:
        self._context = context

    async def plan(self, fields: FieldValues, person: str) -> tuple[ConfirmedPlan, RedrivePlan]:
        plan = await plan_letters(self._context, fields, person)
        return _confirmed(plan), plan

    def check(self, jobs: Sequence[ReplayJob], confirmation: str) -> None:
        for job in jobs:
            require_known(self._context.destinations, job.destination)
        names = ", ".join(job.destination for job in jobs)
        if jobs[0].to_live and confirmation != names:
            raise InputError(f"The redrive was not started. Type {names} to confirm.")

    async def require_no_conflict(self, jobs: Sequence[ReplayJob]) -> None:
        planned = [PlannedRedrive(job, DestinationLetters(job.destination), ()) for job in jobs]
        await require_no_other(self._context.connection, planned, self._context.now_ms())

    def form_values(self) -> Mapping[str, Any]:
        return {"destinations": sorted(self._context.destinations)}


def _confirmed(plan: RedrivePlan) -> ConfirmedPlan:
    texts = (
        f"{each.job.destination} gets {quantity(each.letters.events, 'event')} of dead letters again. They go"
        f" {target_text(to_live=each.job.to_live)}."
        for each in plan.jobs
    )
    return ConfirmedPlan("redrive", tuple(each.job for each in plan.jobs), tuple(texts))


def _plan_values(confirmed: ConfirmedPlan, plan: RedrivePlan | None) -> Mapping[str, Any]:
    return {
        "confirmed": confirmed,
        "names": ", ".join(job.destination for job in confirmed.jobs),
        "to_live": bool(confirmed.jobs) and confirmed.jobs[0].to_live,
        "planned": [] if plan is None else plan.jobs,
        "left": [] if plan is None else skipped_texts(plan.left),
        "skipped_texts": skipped_texts,
        "reasons_of": _reasons_of,
        "texts": TEXTS,
    }


def _reasons_of(planned: PlannedRedrive) -> list[tuple[str, int]]:
    """Return the reasons of the letters with their numbers, the most frequent first."""
    return [(group.reason, group.count) for group in planned.letters.summary.groups()]

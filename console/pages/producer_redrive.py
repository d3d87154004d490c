"""Redriving producers' dead letters: its fields, its numbers by organization and reason, and what its confirmation needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.routing import BaseRoute

from console.context import ConsoleContext
from console.pages.planned_jobs import JobForm, job_routes
from console.plans import ConfirmedPlan
from console.redrive_plans import plan_unreadable
from console.rendering import Pages
from management.dead_letter_documents import skipped_texts
from management.dead_letter_fields import UNREADABLE_FIELDS
from management.fields import FieldValues
from management.unreadable_redrive import (
    NOTHING_READABLE,
    UnreadablePlan,
    require_no_other_unreadable,
    unreadable_text,
)
from relay.replays.job import ReplayJob

FORM = "/dead-letters/producers"


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    page = _ProducerRedrive(context)
    form = JobForm(
        "unreadable",
        FORM,
        f"{FORM}/plan",
        "producer_redrive.html",
        "producer_redrive_plan.html",
        UNREADABLE_FIELDS,
        page.plan,
        dict,
        _plan_values,
        lambda job: f"The replay {job.id} of the producers is started. It goes on without this page.",
        "redrive",
        lambda _jobs, _confirmation: None,
        page.require_no_conflict,
    )
    return job_routes(context, pages, form)


class _ProducerRedrive:
    def __init__(self, context: ConsoleContext) -> None:
        self._context = context

    async def plan(self, fields: FieldValues, person: str) -> tuple[ConfirmedPlan, UnreadablePlan]:
        plan = await plan_unreadable(self._context, fields, person)
        if plan.job is None:
            return ConfirmedPlan("unreadable", (), (NOTHING_READABLE,)), plan
        return ConfirmedPlan("unreadable", (plan.job,), (unreadable_text(plan),)), plan

    async def require_no_conflict(self, jobs: Sequence[ReplayJob]) -> None:
        organizations = {name for job in jobs for name in job.organizations}
        await require_no_other_unreadable(self._context.connection, organizations, self._context.now_ms())


def _plan_values(confirmed: ConfirmedPlan, plan: UnreadablePlan | None) -> Mapping[str, Any]:
    return {
        "confirmed": confirmed,
        "found": plan,
        "reasons": [] if plan is None else [(each.reason, each.count) for each in plan.summary.groups()],
        "left": [] if plan is None else [*skipped_texts(plan.still), *skipped_texts(plan.left)],
    }

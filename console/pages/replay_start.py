"""Starting a replay: its fields, its count, and what its confirmation needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import BaseRoute

from console.context import ConsoleContext
from console.long_reads import TooLongError
from console.pages.planned_jobs import JobForm, job_routes
from console.pages.replays import TEXTS
from console.plans import ConfirmedPlan
from console.rendering import Pages
from management.destinations import require_known
from management.fields import FieldValues
from management.organizations.validation import InputError
from management.replay.archive import fit_archives
from management.replay.asking import FIELDS, plan_asked, plan_text, read_asked
from management.replay.documents import summary_text
from management.replay.dry_run import DryRun, dry_run
from management.replay.start import PlannedReplay
from relay.replays.job import ReplayJob

_PLAN_REMEDY = "Give a smaller window, or run `jira-relay replay start`."


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    page = _ReplayStart(context)
    form = JobForm(
        "replay",
        "/replays/start",
        "/replays/plan",
        "replay_start.html",
        "replay_plan.html",
        FIELDS,
        page.plan,
        page.form_values,
        _plan_values,
        lambda job: f"The replay {job.id} is started. It goes on without this page.",
        "replay",
        page.check,
    )
    return job_routes(context, pages, form)


@dataclass(frozen=True, slots=True)
class _CountedReplay:
    """What the page shows of a plan. `counts` None: the source or the time does not allow a count."""

    counts: DryRun | None
    notes: Sequence[str]


class _ReplayStart:
    def __init__(self, context: ConsoleContext) -> None:
        self._context = context

    async def plan(self, fields: FieldValues, person: str) -> tuple[ConfirmedPlan, _CountedReplay]:
        context, asked = self._context, read_asked(fields)
        planned = await context.long_reads.run(
            lambda: plan_asked(context.connection, context.destinations, asked, context.now_ms()),
            _PLAN_REMEDY,
        )
        job = planned.job(person, context.now_ms())
        counts, text = await self._count(planned, job)
        counted = _CountedReplay(counts, [plan_text(planned), *planned.notes])
        return ConfirmedPlan("replay", (job,), (text,)), counted

    async def _count(self, planned: PlannedReplay, job: ReplayJob) -> tuple[DryRun | None, str]:
        """Return the count of a plan, and what it says; None: the source or the time does not allow it."""
        if planned.content == "refill":
            return None, "How many events the source has is known once the producers have read it."
        context, seen = self._context, [0.0, 0]

        def keep(share: float, events: int) -> None:
            seen[:] = share, events

        try:
            counts = await context.long_reads.run(
                lambda: dry_run(context.connection, context.registry, context.destinations, job, keep), ""
            )
        except TooLongError:
            return None, (
                f"The count was ended after {context.long_reads.seconds:.0f} s: {seen[1]:,} events in {100 * seen[0]:.0f} % of the"
                " offsets. Start the replay without the whole count, give a smaller window, or count with"
                " `jira-relay replay start --dry-run`, which has no such end."
            )
        return counts, summary_text(counts, job.destination)

    def check(self, jobs: Sequence[ReplayJob], confirmation: str) -> None:
        (job,) = jobs
        require_known(self._context.destinations, job.destination)
        if job.to_live and confirmation != job.destination:
            raise InputError(f"The replay was not started. Type {job.destination} to confirm.")

    def form_values(self) -> Mapping[str, Any]:
        destinations = self._context.destinations
        conditions = [each.where for each in destinations.values() if each.where is not None]
        return {"destinations": sorted(destinations), "archives": fit_archives(destinations, conditions)}


def _plan_values(confirmed: ConfirmedPlan, plan: _CountedReplay | None) -> Mapping[str, Any]:
    return {
        "job": confirmed.jobs[0],
        "count_text": confirmed.texts[0],
        "counts": None if plan is None else plan.counts,
        "notes": [] if plan is None else plan.notes,
        "texts": TEXTS,
    }

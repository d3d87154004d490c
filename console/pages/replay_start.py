"""Starting a replay: a form, then the plan with its count, then the confirmation of exactly this plan."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext, refresh_soon
from console.errors import status_of
from console.forms import form_route, who
from console.long_reads import TooLongError
from console.pages.replays import TEXTS, replay_page_of
from console.plans import ConfirmedPlan, read_plan, sign_plan
from console.rendering import Pages, redirect
from management.destinations import require_known
from management.organizations.validation import InputError
from management.replay.archive import fit_archives
from management.replay.asking import FIELDS, plan_asked, plan_text, read_asked
from management.replay.documents import summary_text
from management.replay.dry_run import DryRun, dry_run
from management.replay.jobs import read_replays, submit
from management.replay.start import PlannedReplay
from relay.errors import RelayError
from relay.replays.job import ReplayJob

_PLAN_REMEDY = "Give a smaller window, or run `jira-relay replay start`."


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    handlers = _Start(context, pages)
    return [
        Route("/replays/start", handlers.show, methods=["GET"]),
        form_route(context, "/replays/plan", handlers.plan),
        form_route(context, "/replays/start", handlers.start),
    ]


class _Start:
    def __init__(self, context: ConsoleContext, pages: Pages) -> None:
        self._context = context
        self._pages = pages

    async def show(self, request: Request) -> Response:
        fields = {name: value for name, value in request.query_params.items() if name in FIELDS}
        return self._render_form(request, fields)

    async def plan(self, request: Request, fields: Mapping[str, str]) -> Response:
        context = self._context
        if fields.get("step") == "change":
            return self._render_form(request, fields)
        try:
            asked = read_asked({name: value for name, value in fields.items() if name != "step"})
            planned = await context.long_reads.run(
                lambda: plan_asked(context.connection, context.destinations, asked, context.now_ms()),
                _PLAN_REMEDY,
            )
            job = planned.job(who(request), context.now_ms())
            counts, text = await self._count(planned, job)
        except RelayError as error:
            return self._render_form(request, fields, error)
        confirmed = ConfirmedPlan("replay", (job,), (text,))
        return self._render_plan(request, confirmed, fields, counts, [plan_text(planned), *planned.notes])

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

    async def start(self, request: Request, fields: Mapping[str, str]) -> Response:
        context = self._context
        try:
            confirmed = read_plan(context, fields.get("plan", ""), "replay")
        except RelayError as error:
            return self._render_form(request, {}, error)
        job = replace(confirmed.jobs[0], requested_by=who(request), wished_by=who(request))
        try:
            require_known(context.destinations, job.destination)
            if job.to_live and fields.get("confirmation", "").strip() != job.destination:
                raise InputError(f"The replay was not started. Type {job.destination} to confirm.")
            known = await read_replays(context.connection, context.now_ms())
            if any(view.job.id == job.id for view in known.views):
                return redirect(context, replay_page_of(job.id), ["This replay was started already."])
            failure = await submit(context.connection, job)
        except RelayError as error:
            return self._render_plan(request, confirmed, {}, None, [], error)
        await refresh_soon(context)
        sentences = [
            f"The replay {job.id} is started. It goes on without this page.",
            *filter(None, [failure]),
        ]
        return redirect(context, replay_page_of(job.id), sentences, failed=failure is not None)

    def _render_form(
        self, request: Request, fields: Mapping[str, str], error: RelayError | None = None
    ) -> Response:
        destinations = self._context.destinations
        conditions = [each.where for each in destinations.values() if each.where is not None]
        return self._pages.render(
            request,
            "replay_start.html",
            HTTPStatus.OK if error is None else status_of(error),
            fields={name: fields.get(name, "") for name in FIELDS},
            destinations=sorted(destinations),
            archives=fit_archives(destinations, conditions),
            problem=None if error is None else str(error),
        )

    def _render_plan(
        self,
        request: Request,
        confirmed: ConfirmedPlan,
        fields: Mapping[str, str],
        counts: DryRun | None,
        notes: list[str],
        error: RelayError | None = None,
    ) -> Response:
        return self._pages.render(
            request,
            "replay_plan.html",
            HTTPStatus.OK if error is None else status_of(error),
            job=confirmed.jobs[0],
            count_text=confirmed.texts[0],
            counts=counts,
            notes=notes,
            fields=fields,
            texts=TEXTS,
            plan=sign_plan(self._context, confirmed),
            problem=None if error is None else str(error),
        )

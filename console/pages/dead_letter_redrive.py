"""Redriving dead letters: a form, then the plan with the numbers by reason and organization, then the confirmation."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext, refresh_soon
from console.errors import status_of
from console.forms import form_route, who
from console.pages.replays import TEXTS, replay_page_of
from console.plans import ConfirmedPlan, read_plan, sign_plan
from console.rendering import Pages, redirect
from management.dead_letter_documents import skipped_texts
from management.dead_letter_fields import REDRIVE_FIELDS, read_redrive
from management.dead_letter_plan import DestinationLetters
from management.dead_letter_redrive import PlannedRedrive, RedrivePlan, plan_redrive, require_no_other
from management.destinations import require_known
from management.organizations.validation import InputError
from management.replay.jobs import read_replays, submit
from management.replay.texts import target_text
from relay.errors import RelayError
from relay.replays.job import ReplayJob

_REMEDY = (
    "Choose one organization or less time, or run `jira-relay dead-letters redrive`, which has no such end."
)


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    handlers = _Redrive(context, pages)
    return [
        Route("/dead-letters/redrive", handlers.show, methods=["GET"]),
        form_route(context, "/dead-letters/redrive/plan", handlers.plan),
        form_route(context, "/dead-letters/redrive", handlers.start),
    ]


class _Redrive:
    def __init__(self, context: ConsoleContext, pages: Pages) -> None:
        self._context = context
        self._pages = pages

    async def show(self, request: Request) -> Response:
        fields = {name: value for name, value in request.query_params.items() if name in REDRIVE_FIELDS}
        return self._render_form(request, fields)

    async def plan(self, request: Request, fields: Mapping[str, str]) -> Response:
        context = self._context
        if fields.get("step") == "change":
            return self._render_form(request, fields)
        try:
            asked = read_redrive({name: value for name, value in fields.items() if name != "step"})
            plan = await context.long_reads.run(
                lambda: plan_redrive(
                    context.connection,
                    context.destinations,
                    context.registry,
                    asked,
                    who(request),
                    context.now_ms(),
                ),
                _REMEDY,
            )
        except RelayError as error:
            return self._render_form(request, fields, error)
        return self._render_plan(request, _confirmed(plan), fields, plan)

    async def start(self, request: Request, fields: Mapping[str, str]) -> Response:
        context, person = self._context, who(request)
        try:
            confirmed = read_plan(context, fields.get("plan", ""), "redrive")
        except RelayError as error:
            return self._render_form(request, {}, error)
        jobs = [replace(each, requested_by=person, wished_by=person) for each in confirmed.jobs]
        try:
            self._check(jobs, fields.get("confirmation", ""))
            known = {each.job.id for each in (await read_replays(context.connection, context.now_ms())).views}
            if any(job.id in known for job in jobs):
                return redirect(context, _target(jobs), ["This redrive was started already."])
            planned = [PlannedRedrive(job, DestinationLetters(job.destination), ()) for job in jobs]
            await require_no_other(context.connection, planned, context.now_ms())
            failures = [await submit(context.connection, job) for job in jobs]
        except RelayError as error:
            return self._render_plan(request, confirmed, {}, None, error)
        await refresh_soon(context)
        started = [f"The replay {job.id} to {job.destination} is started." for job in jobs]
        found = [each for each in failures if each is not None]
        return redirect(context, _target(jobs), [*started, *found], failed=bool(found))

    def _check(self, jobs: list[ReplayJob], confirmation: str) -> None:
        for job in jobs:
            require_known(self._context.destinations, job.destination)
        names = ", ".join(job.destination for job in jobs)
        if jobs[0].to_live and confirmation.strip() != names:
            raise InputError(f"The redrive was not started. Type {names} to confirm.")

    def _render_form(
        self, request: Request, fields: Mapping[str, str], error: RelayError | None = None
    ) -> Response:
        return self._pages.render(
            request,
            "dead_letter_redrive.html",
            HTTPStatus.OK if error is None else status_of(error),
            fields={name: fields.get(name, "") for name in REDRIVE_FIELDS},
            destinations=sorted(self._context.destinations),
            problem=None if error is None else str(error),
        )

    def _render_plan(
        self,
        request: Request,
        confirmed: ConfirmedPlan,
        fields: Mapping[str, str],
        plan: RedrivePlan | None,
        error: RelayError | None = None,
    ) -> Response:
        return self._pages.render(
            request,
            "dead_letter_redrive_plan.html",
            HTTPStatus.OK if error is None else status_of(error),
            confirmed=confirmed,
            names=", ".join(job.destination for job in confirmed.jobs),
            to_live=bool(confirmed.jobs) and confirmed.jobs[0].to_live,
            planned=[] if plan is None else plan.jobs,
            left=[] if plan is None else skipped_texts(plan.left),
            skipped_texts=skipped_texts,
            reasons_of=_reasons_of,
            fields=fields,
            texts=TEXTS,
            plan=sign_plan(self._context, confirmed) if confirmed.jobs else "",
            problem=None if error is None else str(error),
        )


def _confirmed(plan: RedrivePlan) -> ConfirmedPlan:
    texts = (
        f"{each.job.destination} gets {each.letters.events:,} events of dead letters again. They go"
        f" {target_text(to_live=each.job.to_live)}."
        for each in plan.jobs
    )
    return ConfirmedPlan("redrive", tuple(each.job for each in plan.jobs), tuple(texts))


def _reasons_of(planned: PlannedRedrive) -> list[tuple[str, int]]:
    """Return the reasons of the letters with their numbers, the most frequent first."""
    return [(group.reason, group.count) for group in planned.letters.summary.groups()]


def _target(jobs: list[ReplayJob]) -> str:
    return replay_page_of(jobs[0].id) if len(jobs) == 1 else "/replays"

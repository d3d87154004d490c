"""Redriving producers' dead letters: a form, then the plan with the numbers by organization and reason, then the confirmation."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext, refresh_soon
from console.errors import status_of
from console.forms import form_route, who
from console.pages.replays import replay_page_of
from console.plans import ConfirmedPlan, read_plan, sign_plan
from console.rendering import Pages, redirect
from management.dead_letter_documents import skipped_texts
from management.dead_letter_fields import UNREADABLE_FIELDS, read_unreadable
from management.replay.jobs import read_replays, submit
from management.unreadable_redrive import (
    NOTHING_READABLE,
    UnreadablePlan,
    plan_unreadable_redrive,
    require_no_other_unreadable,
    unreadable_text,
)
from relay.errors import RelayError

FORM = "/dead-letters/producers"
_REMEDY = "Choose one organization or less time, or run `jira-relay dead-letters redrive --producer`, which has no such end."


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    handlers = _ProducerRedrive(context, pages)
    return [
        Route(FORM, handlers.show, methods=["GET"]),
        form_route(context, f"{FORM}/plan", handlers.plan),
        form_route(context, FORM, handlers.start),
    ]


class _ProducerRedrive:
    def __init__(self, context: ConsoleContext, pages: Pages) -> None:
        self._context = context
        self._pages = pages

    async def show(self, request: Request) -> Response:
        fields = {name: value for name, value in request.query_params.items() if name in UNREADABLE_FIELDS}
        return self._render_form(request, fields)

    async def plan(self, request: Request, fields: Mapping[str, str]) -> Response:
        context = self._context
        if fields.get("step") == "change":
            return self._render_form(request, fields)
        try:
            selection = read_unreadable({name: value for name, value in fields.items() if name != "step"})
            plan = await context.long_reads.run(
                lambda: plan_unreadable_redrive(
                    context.connection, context.parse_record, selection, who(request), context.now_ms()
                ),
                _REMEDY,
            )
        except RelayError as error:
            return self._render_form(request, fields, error)
        if plan.job is None:
            confirmed = ConfirmedPlan("unreadable", (), (NOTHING_READABLE,))
        else:
            confirmed = ConfirmedPlan("unreadable", (plan.job,), (unreadable_text(plan),))
        return self._render_plan(request, confirmed, fields, plan)

    async def start(self, request: Request, fields: Mapping[str, str]) -> Response:
        context, person = self._context, who(request)
        try:
            confirmed = read_plan(context, fields.get("plan", ""), "unreadable")
        except RelayError as error:
            return self._render_form(request, {}, error)
        job = replace(confirmed.jobs[0], requested_by=person, wished_by=person)
        target = replay_page_of(job.id)
        try:
            known = await read_replays(context.connection, context.now_ms())
            if any(view.job.id == job.id for view in known.views):
                return redirect(context, target, ["This redrive was started already."])
            await require_no_other_unreadable(context.connection, context.now_ms())
            failure = await submit(context.connection, job)
        except RelayError as error:
            return self._render_plan(request, confirmed, {}, None, error)
        await refresh_soon(context)
        started = f"The replay {job.id} of the producers is started. It goes on without this page."
        return redirect(context, target, [started, *filter(None, [failure])], failed=failure is not None)

    def _render_form(
        self, request: Request, fields: Mapping[str, str], error: RelayError | None = None
    ) -> Response:
        return self._pages.render(
            request,
            "producer_redrive.html",
            HTTPStatus.OK if error is None else status_of(error),
            fields={name: fields.get(name, "") for name in UNREADABLE_FIELDS},
            problem=None if error is None else str(error),
        )

    def _render_plan(
        self,
        request: Request,
        confirmed: ConfirmedPlan,
        fields: Mapping[str, str],
        plan: UnreadablePlan | None,
        error: RelayError | None = None,
    ) -> Response:
        """Return the plan. `plan` None: it was confirmed, and refused, so its tables are not known any more."""
        return self._pages.render(
            request,
            "producer_redrive_plan.html",
            HTTPStatus.OK if error is None else status_of(error),
            confirmed=confirmed,
            found=plan,
            reasons=[] if plan is None else [(each.reason, each.count) for each in plan.summary.groups()],
            left=[] if plan is None else [*skipped_texts(plan.still), *skipped_texts(plan.left)],
            fields=fields,
            plan=sign_plan(self._context, confirmed) if confirmed.jobs else "",
            problem=None if error is None else str(error),
        )

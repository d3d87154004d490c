"""The course of every form that starts jobs: the form, the plan with its count, and the confirmation of exactly this plan."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext, refresh_soon
from console.errors import status_of
from console.forms import form_route, who
from console.pages.replays import replay_page_of
from console.plans import ConfirmedPlan, read_plan, sign_plan
from console.rendering import Pages, redirect
from management.fields import FieldValues
from management.replay.jobs import read_replays, submit
from relay.errors import RelayError
from relay.replays.job import ReplayJob

Plan = TypeVar("Plan")
"""What a page shows of a plan beside its texts."""


async def _no_conflict(_jobs: Sequence[ReplayJob]) -> None:
    """Nothing that runs keeps these jobs from starting."""


@dataclass(frozen=True, slots=True)
class JobForm(Generic[Plan]):
    """What one page puts into the course: its addresses, its fields, its count, its checks and its texts."""

    kind: str
    """The kind of its plans: one that was signed for another page is refused."""
    path: str
    """Of the form, and of the confirmation."""
    plan_path: str
    form_template: str
    plan_template: str
    fields: Sequence[str]
    plan: Callable[[FieldValues, str], Awaitable[tuple[ConfirmedPlan, Plan]]]
    """Counts what the fields ask for, on behalf of a person. Raises RelayError."""
    form_values: Callable[[], Mapping[str, Any]]
    """What the template of the form needs beside the fields."""
    plan_values: Callable[[ConfirmedPlan, Plan | None], Mapping[str, Any]]
    """What the template of the plan needs. None: the plan was confirmed, and refused, so its tables are not known any more."""
    started: Callable[[ReplayJob], str]
    """The sentence about a job that was started."""
    subject: str
    """What was started, in the sentence about a second confirmation."""
    check: Callable[[Sequence[ReplayJob], str], None]
    """Checks the jobs, and what the person typed to confirm. Raises RelayError."""
    require_no_conflict: Callable[[Sequence[ReplayJob]], Awaitable[None]] = _no_conflict
    """Raises RelayError while another job forbids these."""


def job_routes(context: ConsoleContext, pages: Pages, form: JobForm[Plan]) -> list[BaseRoute]:
    """Return the routes of the three steps."""
    course = _Course(context, pages, form)
    return [
        Route(form.path, course.show, methods=["GET"]),
        form_route(context, form.plan_path, course.plan),
        form_route(context, form.path, course.start),
    ]


class _Course(Generic[Plan]):
    def __init__(self, context: ConsoleContext, pages: Pages, form: JobForm[Plan]) -> None:
        self._context = context
        self._pages = pages
        self._form = form

    async def show(self, request: Request) -> Response:
        return self._render_form(request, request.query_params)

    async def plan(self, request: Request, fields: Mapping[str, str]) -> Response:
        if fields.get("step") == "change":
            return self._render_form(request, fields)
        asked = {name: value for name, value in fields.items() if name != "step"}
        try:
            confirmed, plan = await self._form.plan(asked, who(request))
        except RelayError as error:
            return self._render_form(request, fields, error)
        return self._render_plan(request, confirmed, fields, plan)

    async def start(self, request: Request, fields: Mapping[str, str]) -> Response:
        context, form, person = self._context, self._form, who(request)
        try:
            confirmed = read_plan(context, fields.get("plan", ""), form.kind)
        except RelayError as error:
            return self._render_form(request, {}, error)
        jobs = [replace(each, requested_by=person, wished_by=person) for each in confirmed.jobs]
        target = replay_page_of(jobs[0].id) if len(jobs) == 1 else "/replays"
        try:
            form.check(jobs, fields.get("confirmation", "").strip())
            missing = await self._not_started(jobs)
            if not missing:
                return redirect(context, target, [f"This {form.subject} was started already."])
            await form.require_no_conflict(missing)
            failures = [await submit(context.connection, job) for job in missing]
        except RelayError as error:
            return self._render_plan(request, confirmed, {}, None, error)
        await refresh_soon(context)
        found = [each for each in failures if each is not None]
        return redirect(context, target, [*map(form.started, missing), *found], failed=bool(found))

    async def _not_started(self, jobs: Sequence[ReplayJob]) -> list[ReplayJob]:
        """Return the jobs that Kafka does not have: all, or those behind a failure of the first confirmation. Raises RelayError."""
        replays = await read_replays(self._context.connection, self._context.now_ms())
        known = {each.job.id for each in replays.views}
        return [job for job in jobs if job.id not in known]

    def _render_form(
        self, request: Request, fields: Mapping[str, str], error: RelayError | None = None
    ) -> Response:
        values = {
            "fields": {name: fields.get(name, "") for name in self._form.fields},
            **self._form.form_values(),
        }
        return self._render(request, self._form.form_template, values, error)

    def _render_plan(
        self,
        request: Request,
        confirmed: ConfirmedPlan,
        fields: Mapping[str, str],
        plan: Plan | None,
        error: RelayError | None = None,
    ) -> Response:
        values = {
            "fields": fields,
            "plan": sign_plan(self._context, confirmed) if confirmed.jobs else "",
            **self._form.plan_values(confirmed, plan),
        }
        return self._render(request, self._form.plan_template, values, error)

    def _render(
        self, request: Request, template: str, values: Mapping[str, Any], error: RelayError | None
    ) -> Response:
        status = HTTPStatus.OK if error is None else status_of(error)
        problem = None if error is None else str(error)
        return self._pages.render(request, template, status, problem=problem, **values)

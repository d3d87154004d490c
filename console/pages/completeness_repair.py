"""The repair of a day: what its differences ask for, and the confirmation of exactly that."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from console.context import ConsoleContext, refresh_soon
from console.errors import status_of
from console.forms import form_route, who
from console.pages.completeness import day_page_of
from console.plans import read_signed
from console.rendering import Pages, redirect
from management.completeness.collect import ProofContext
from management.completeness.day_editions import parse_day
from management.completeness.repair import RepairContext, RepairPlan, plan_repair, run_repair
from management.organizations.store import require_existing
from management.organizations.validation import InputError
from relay.errors import RelayError

_KIND = "repair"
_REMEDY = "Run `jira-relay proof repair NAME DAY`, which has no such end."


def repair_context(context: ConsoleContext, person: str, *, to_live: bool) -> RepairContext:
    """Return the means to repair, on behalf of a person."""
    proof = ProofContext(context.connection, context.registry, context.destinations, context.now_ms)
    return RepairContext(proof, context.parse_record, person, to_live)


async def plan_day(context: ConsoleContext, found: RepairContext, name: str, day: str) -> RepairPlan:
    """Plan the repair of a day, as one of the few long reads at a time. Raises RelayError."""
    organization = require_existing(context.view.snapshot.organizations.organizations.get(name), name)
    if context.audit_logs is None:
        raise RelayError("This console cannot list audit logs. Run `jira-relay proof repair NAME DAY`.")
    source = context.audit_logs(organization)
    return await context.long_reads.run(lambda: plan_repair(found, name, parse_day(day), source), _REMEDY)


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    def shown(
        request: Request, name: str, day: str, plan: RepairPlan | None, problem: str | None, *, to_live: bool
    ) -> Response:
        status = HTTPStatus.OK if plan is not None else HTTPStatus.UNPROCESSABLE_ENTITY
        return pages.render(
            request,
            "completeness_repair.html",
            status,
            name=name,
            day=day,
            plan=plan,
            problem=problem,
            to_live=to_live,
            signed=""
            if plan is None
            else context.access.sign_plan([_KIND, _fingerprint(plan, to_live=to_live)]),
        )

    async def show(request: Request, fields: Mapping[str, str]) -> Response:
        name, day, to_live = fields.get("name", ""), fields.get("day", ""), "to_live" in fields
        try:
            found = repair_context(context, who(request), to_live=to_live)
            plan = await plan_day(context, found, name, day)
        except RelayError as error:
            response = shown(request, name, day, None, str(error), to_live=to_live)
            response.status_code = status_of(error)
            return response
        return shown(request, name, day, plan, None, to_live=to_live)

    async def start(request: Request, fields: Mapping[str, str]) -> Response:
        name, day, to_live = fields.get("name", ""), fields.get("day", ""), "to_live" in fields
        found = repair_context(context, who(request), to_live=to_live)
        try:
            (confirmed,) = read_signed(context, fields.get("plan", ""), _KIND)
            plan = await plan_day(context, found, name, day)
            if _fingerprint(plan, to_live=to_live) != confirmed:
                text = (
                    "The day has changed since the plan was made. Nothing was started; look at the new plan."
                )
                return shown(request, name, day, plan, text, to_live=to_live)
            done = await run_repair(found, plan)
        except (RelayError, ValueError) as error:
            failed = (
                error if isinstance(error, RelayError) else InputError("The plan is broken. Make it again.")
            )
            response = shown(request, name, day, None, str(failed), to_live=to_live)
            response.status_code = status_of(failed)
            return response
        await refresh_soon(context)
        return redirect(context, day_page_of(name, day), done or ["Nothing was to be started."])

    return [
        form_route(context, "/completeness/repair/plan", show),
        form_route(context, "/completeness/repair", start),
    ]


def _fingerprint(plan: RepairPlan, *, to_live: bool) -> str:
    """Return what a plan does and to which target, without the ids and times of its jobs."""
    return json.dumps([plan.organization, plan.day, to_live, [[each.step, each.text] for each in plan.steps]])

"""Completeness by HTTP: the calendars, and a day with its seals."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, answering, document, documents, read_fields, require_known
from console.context import ConsoleContext, refresh_soon
from console.forms import who
from console.pages.completeness import calendar_named, calendar_now, seals_by_need
from console.pages.completeness_repair import plan_day, repair_context
from management.completeness.calendar import Calendar, shown_days
from management.completeness.day_editions import parse_day, read_editions
from management.completeness.repair import run_repair
from management.organizations.validation import InputError
from relay.errors import RelayError

_ROOT = f"{PREFIX}/completeness"


def routes(context: ConsoleContext) -> list[BaseRoute]:
    async def list_all(_request: Request) -> Response:
        await _refresh(context)
        days = shown_days(context.now_ms())
        found = await seals_by_need(context)
        return documents(_summary(calendar_now(context, each, days)) for each in found)

    async def show(request: Request) -> Response:
        await _refresh(context)
        name, days = request.path_params["name"], shown_days(context.now_ms())
        return document(calendar_named(context, name, days).document())

    async def show_day(request: Request) -> Response:
        await _refresh(context)
        name, day = request.path_params["name"], parse_day(request.path_params["day"])
        calendar = calendar_named(context, name, [day])
        editions = await read_editions(context.connection, context.seals.of(name), day)
        return document(
            calendar.days[0].document()
            | {"organization": name, "fault": calendar.fault}
            | {"records": [each.document() for each in editions]}
        )

    async def repair(request: Request) -> Response:
        fields = dict(await read_fields(request))
        flags = {name: fields.pop(name, False) for name in ("dry_run", "to_live")}
        if fields or any(not isinstance(each, bool) for each in flags.values()):
            raise InputError("The body has dry_run and to_live alone, each true or false.")
        found = repair_context(context, who(request), to_live=flags["to_live"])
        plan = await plan_day(context, found, request.path_params["name"], request.path_params["day"])
        done = [] if flags["dry_run"] else await run_repair(found, plan)
        await refresh_soon(context)
        return document(plan.document() | {"done": done})

    return [
        Route(f"{_ROOT}/{{name}}/{{day}}/repair", answering(repair), methods=["POST"]),
        Route(_ROOT, answering(list_all), methods=["GET"]),
        Route(f"{_ROOT}/{{name}}", answering(show), methods=["GET"]),
        Route(f"{_ROOT}/{{name}}/{{day}}", answering(show_day), methods=["GET"]),
    ]


async def _refresh(context: ConsoleContext) -> None:
    """Read what is new. Raises RelayError if nothing has ever been read: an empty list would say that there is nothing."""
    require_known(context.view.snapshot)
    state = await context.seals.refresh()
    if state.as_of is None:
        raise RelayError(state.failure or "The seals have not been read yet. Try again in a moment.")


def _summary(calendar: Calendar) -> dict[str, object]:
    return {
        "organization": calendar.organization,
        "fault": calendar.fault,
        "last_sealed": calendar.last_sealed,
        "states": dict(calendar.counts),
    }

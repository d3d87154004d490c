"""Completeness: all organizations, the calendar of one, and a day with its account."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.errors import status_of
from console.pages.changes import PAGE_ROWS, page_number
from console.permissions import RouteHandler
from console.rendering import Pages
from management.bounded_read import read_bounded
from management.completeness.calendar import Calendar, CalendarDay, calendar_of, shown_days
from management.completeness.day_editions import DayEdition, parse_day, read_editions
from management.completeness.seal_index import OrganizationSeals
from management.completeness.show import days_between
from management.organizations.store import require_existing
from management.organizations.validation import InputError
from relay.errors import RelayError
from relay.timestamps import DAY_MS, day_of, day_start


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days from Monday on. None: the day is not shown."""

    monday: str
    days: Sequence[CalendarDay | None]


def weeks_of(days: Sequence[CalendarDay]) -> list[Week]:
    """Return consecutive days in weeks, the newest first."""
    by_day = {each.day: each for each in days}
    first, last = (date.fromisoformat(days[end].day) for end in (0, -1))
    start = day_start(first.isoformat()) - first.weekday() * DAY_MS
    weeks = []
    while start <= day_start(last.isoformat()):
        week = [day_of(start + each * DAY_MS) for each in range(7)]
        weeks.append(Week(week[0], [by_day.get(day) for day in week]))
        start += 7 * DAY_MS
    return weeks[::-1]


async def seals_by_need(context: ConsoleContext) -> list[OrganizationSeals]:
    """Return the seals of each organization, broken chains and differing days first.

    Those of thousands take a second to judge, so other requests are answered meanwhile.
    """
    known, index = context.view.snapshot.organizations.organizations, context.seals.index.organizations
    first, found = shown_days(context.now_ms())[0], list[tuple[bool, int, str, OrganizationSeals]]()
    for count, name in enumerate(sorted({*known, *index})):
        seals = index.get(name) or OrganizationSeals(name)
        found.append((seals.verify_end() is None, -seals.differing_days(first), name, seals))
        if count % 50 == 0:
            await asyncio.sleep(0)
    return [seals for _, _, _, seals in sorted(found, key=lambda each: each[:3])]


def calendar_now(context: ConsoleContext, seals: OrganizationSeals, days: Sequence[str]) -> Calendar:
    """Return the calendar of an organization that exists or has seals."""
    organization = context.view.snapshot.organizations.organizations.get(seals.name)
    return calendar_of(seals, organization, days, context.now_ms(), context.late_days)


def calendar_named(context: ConsoleContext, name: str, days: Sequence[str]) -> Calendar:
    """Return the calendar of an organization, from what was read last. Raises UnknownOrganizationError."""
    if name not in context.seals.index.organizations:
        require_existing(context.view.snapshot.organizations.organizations.get(name), name)
    return calendar_now(context, context.seals.of(name), days)


def day_page_of(name: str, day: str) -> str:
    """Return the address of the page of a day."""
    return f"/completeness/day?name={quote(name, safe='')}&day={day}"


@dataclass(frozen=True, slots=True)
class _Handlers:
    """The pages. Each reads what is new of the seals first."""

    context: ConsoleContext
    pages: Pages

    async def show_all(self, request: Request) -> Response:
        state = await self.context.seals.refresh()
        text = request.query_params.get("q", "").strip()
        found = [
            each for each in await seals_by_need(self.context) if text.casefold() in each.name.casefold()
        ]
        page, days = page_number(request.query_params, len(found)), shown_days(self.context.now_ms())
        rows = [
            calendar_now(self.context, each, days)
            for each in found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
        ]
        return self.pages.render(
            request,
            "completeness.html",
            rows=rows,
            found=len(found),
            text=text,
            page=page,
            page_count=max(1, -(-len(found) // PAGE_ROWS)),
            read=state,
            problems=self.context.seals.problems,
        )

    async def show_organization(self, request: Request) -> Response:
        state = await self.context.seals.refresh()
        calendar = calendar_named(
            self.context, request.query_params.get("name", ""), shown_days(self.context.now_ms())
        )
        return self.pages.render(
            request,
            "completeness_organization.html",
            calendar=calendar,
            weeks=weeks_of(calendar.days),
            read=state,
        )

    async def show_day(self, request: Request) -> Response:
        state = await self.context.seals.refresh()
        name, day = (request.query_params.get(each, "") for each in ("name", "day"))
        around = _around(parse_day(day))
        calendar = calendar_named(self.context, name, around)
        editions = await read_bounded(
            read_editions(self.context.connection, self.context.seals.of(name), day),
            self.context.timing.event_seconds,
        )
        return self.pages.render(
            request,
            "completeness_day.html",
            calendar=calendar,
            day=calendar.days[1],
            before=around[0],
            after=around[2],
            editions=[] if isinstance(editions, str) else editions,
            problem=editions if isinstance(editions, str) else None,
            latest=_latest(editions),
            signing_key=self.context.signing_key,
            read=state,
        )

    def answering(self, handler: RouteHandler) -> RouteHandler:
        """Return a handler that answers an unknown organization or day with a page."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except RelayError as error:
                name = request.query_params.get("name", "")
                known = self.context.view.snapshot.organizations.organizations
                return self.pages.render(
                    request,
                    "completeness_unknown.html",
                    status_of(error),
                    problem=str(error) if name else "The address names no organization.",
                    known=name if name in known or name in self.context.seals.index.organizations else None,
                )

        return answer


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    shown = _Handlers(context, pages)
    return [
        Route("/completeness", shown.show_all, methods=["GET"]),
        Route("/completeness/organization", shown.answering(shown.show_organization), methods=["GET"]),
        Route("/completeness/day", shown.answering(shown.show_day), methods=["GET"]),
    ]


def _around(day: str) -> list[str]:
    """Return the day before, the day, and the day after. Raises InputError for a day without either."""
    try:
        return days_between(day_of(day_start(day) - DAY_MS), day_of(day_start(day) + DAY_MS))
    except (ValueError, OverflowError) as error:
        raise InputError(f"{day} is no day of this calendar.") from error


def _latest(editions: Sequence[DayEdition] | str) -> DayEdition | None:
    return None if isinstance(editions, str) or not editions else editions[0]

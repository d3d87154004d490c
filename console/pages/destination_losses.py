"""The lost ranges of a destination: what Kafka deleted before its delivery, and what brings it back."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from console.context import ConsoleContext, refresh_soon
from console.forms import form_route, who
from console.pages.destination_moves import destination_page_of
from console.rendering import Pages, redirect
from management.bounded_read import read_bounded
from management.lost_ranges import LostRanges, dismiss, read_lost_ranges
from relay.errors import RelayError


def routes(context: ConsoleContext, _pages: Pages) -> list[BaseRoute]:
    async def dismiss_one(request: Request, fields: Mapping[str, str]) -> Response:
        name, entry = fields.get("name", ""), fields.get("entry", "")
        try:
            found, failure = await dismiss(
                context.connection, context.destinations, name, entry, who(request), context.now_ms()
            )
        except RelayError as error:
            return redirect(context, destination_page_of(name), [str(error)], failed=True)
        await refresh_soon(context)
        done = f"{found.name} of {name} is dismissed. The state follows within a minute."
        return redirect(
            context,
            destination_page_of(name),
            [done, *filter(None, [failure])],
            failed=failure is not None,
        )

    return [form_route(context, "/destination/lost/dismiss", dismiss_one)]


async def lost_ranges_of(context: ConsoleContext, name: str) -> tuple[LostRanges | None, str | None]:
    """Return the lost ranges of a destination, and why they are not known."""
    reading = read_lost_ranges(context.connection, context.destinations, name, context.now_ms())
    found = await read_bounded(reading, context.timing.lost_seconds)
    return (None, f"The lost ranges cannot be read now: {found}") if isinstance(found, str) else (found, None)

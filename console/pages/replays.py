"""The replays: the history of all, a page for each, and its pause, resumption and end."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import get_args
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext, refresh_soon
from console.forms import form_route, who
from console.rendering import Pages, redirect
from management.organizations.validation import InputError
from management.replay.jobs import set_wish, wish_text
from management.replay.texts import counts_text, duration_text, events_text, result_text, target_text
from management.replay.view import ReplayView
from relay.errors import RelayError
from relay.replays.job import Wish

PER_PAGE = 50
TEXTS = {
    "counts": counts_text,
    "duration": duration_text,
    "events": events_text,
    "result": result_text,
    "target": lambda job: target_text(to_live=job.to_live),
}
_WISHES: Mapping[str, Wish] = {each: each for each in get_args(Wish)}


def replay_page_of(replay_id: str) -> str:
    """Return the address of a replay's page."""
    return f"/replay?id={quote(replay_id, safe='')}"


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    replays = _Replays(context, pages)
    return [
        Route("/replays", replays.show_all, methods=["GET"]),
        Route("/replay", replays.show, methods=["GET"]),
        form_route(context, "/replay/wish", replays.wish),
    ]


@dataclass(frozen=True, slots=True)
class _Replays:
    """The pages, and the form of a wish."""

    context: ConsoleContext
    pages: Pages

    async def show_all(self, request: Request) -> Response:
        views, destination = self.context.replays(), request.query_params.get("destination", "")
        found = [view for view in views if destination in {"", view.job.destination}]
        count = max(1, -(-len(found) // PER_PAGE))
        page = min(_page(request.query_params.get("page", "")), count)
        return self.pages.render(
            request,
            "replays.html",
            views=found[(page - 1) * PER_PAGE : page * PER_PAGE],
            texts=TEXTS,
            total=len(views),
            found=len(found),
            destination=destination,
            destinations=sorted({view.job.destination for view in views}),
            page=page,
            page_count=count,
            own_link=_list_link(destination, page),
            link=_list_link,
        )

    async def show(self, request: Request) -> Response:
        replay_id = request.query_params.get("id", "")
        view = _find(self.context, replay_id)
        if view is None:
            is_unread = (
                self.context.view.snapshot.as_of is None
                or self.context.view.snapshot.replays.failure is not None
            )
            status = HTTPStatus.SERVICE_UNAVAILABLE if is_unread else HTTPStatus.NOT_FOUND
            return self.pages.render(request, "replay_unknown.html", status, replay_id=replay_id)
        return self.pages.render(
            request,
            "replay.html",
            view=view,
            job=view.job,
            progress=view.progress,
            texts=TEXTS,
            can_end=not view.ended and view.job.wished != "cancelled",
        )

    async def wish(self, request: Request, fields: Mapping[str, str]) -> Response:
        replay_id, wished = fields.get("id", ""), _WISHES.get(fields.get("wish", ""))
        try:
            if wished is None:
                raise InputError("The wish must be running, paused or cancelled.")
            result = await set_wish(
                self.context.connection, replay_id, wished, who(request), self.context.now_ms()
            )
        except RelayError as error:
            return redirect(self.context, replay_page_of(replay_id), [str(error)], failed=True)
        await refresh_soon(self.context)
        sentences = [wish_text(result, wished), *filter(None, [result.failure])]
        return redirect(self.context, replay_page_of(replay_id), sentences, failed=result.failure is not None)


def _find(context: ConsoleContext, replay_id: str) -> ReplayView | None:
    return next((view for view in context.replays() if view.job.id == replay_id), None)


def _page(text: str) -> int:
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def _list_link(destination: str, page: int) -> str:
    return f"/replays?destination={quote(destination, safe='')}&page={page}"

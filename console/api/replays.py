"""Replays by HTTP."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, answering, document, read_fields
from console.context import ConsoleContext, refresh_soon
from console.forms import who
from management.fields import flag_of
from management.organizations.validation import InputError
from management.replay.asking import plan_asked, read_asked
from management.replay.documents import dry_run_document, range_documents, replay_document
from management.replay.dry_run import dry_run
from management.replay.jobs import facts, read_replay, read_replays, set_wish, submit
from relay.replays.job import Wish

_ROOT = f"{PREFIX}/replays"
_ONE = f"{_ROOT}/{{id}}"
_REMEDY = "Give a smaller window, or use `jira-relay replay start`."


def routes(context: ConsoleContext) -> list[BaseRoute]:
    api = _ReplayCalls(context)
    return [
        Route(_ROOT, answering(api.list_all), methods=["GET"]),
        Route(_ROOT, answering(api.start), methods=["POST"]),
        Route(_ONE, answering(api.show), methods=["GET"]),
        Route(f"{_ONE}/pause", answering(api.pause), methods=["POST"]),
        Route(f"{_ONE}/resume", answering(api.resume), methods=["POST"]),
        Route(f"{_ONE}/cancel", answering(api.cancel), methods=["POST"]),
    ]


class _ReplayCalls:
    def __init__(self, context: ConsoleContext) -> None:
        self._context = context

    async def list_all(self, _request: Request) -> Response:
        found = await read_replays(self._context.connection, self._context.now_ms())
        return document(
            {"replays": [replay_document(view) for view in found.views], "problems": list(found.problems)}
        )

    async def show(self, request: Request) -> Response:
        context = self._context
        view = await read_replay(context.connection, request.path_params["id"], context.now_ms())
        return document(replay_document(view) | {"ranges": range_documents(view)})

    async def start(self, request: Request) -> Response:
        """Start a replay; with `dry_run`, count its events alone."""
        context, fields = self._context, dict(await read_fields(request))
        is_dry_run = flag_of(fields, "dry_run")
        fields.pop("dry_run", None)
        asked = read_asked(fields)
        planned = await context.long_reads.run(
            lambda: plan_asked(context.connection, context.destinations, asked, context.now_ms()), _REMEDY
        )
        job = planned.job(who(request), context.now_ms())
        if not is_dry_run:
            failure = await submit(context.connection, job)
            await refresh_soon(context)
            started = facts(job) | {"destination": job.destination, "state": "waiting"}
            return document(started | {"notes": list(planned.notes), "failure": failure})
        if planned.content == "refill":
            raise InputError("What the source has is known once it is read, so a refill has no dry run.")
        counts = await context.long_reads.run(
            lambda: dry_run(
                context.connection, context.registry, context.destinations, job, lambda _share, _events: None
            ),
            _REMEDY,
        )
        return document(_without_rows(dry_run_document(counts, planned)))

    async def pause(self, request: Request) -> Response:
        return await self._wish(request, "paused")

    async def resume(self, request: Request) -> Response:
        return await self._wish(request, "running")

    async def cancel(self, request: Request) -> Response:
        return await self._wish(request, "cancelled")

    async def _wish(self, request: Request, wish: Wish) -> Response:
        context, replay_id = self._context, request.path_params["id"]
        result = await set_wish(context.connection, replay_id, wish, who(request), context.now_ms())
        await refresh_soon(context)
        answer = {"id": replay_id, "wished": wish, "changed": result.changed, "state": result.view.state}
        return document(answer | {"failure": result.failure})


def _without_rows(counts: dict[str, Any]) -> dict[str, Any]:
    """Leave out the sample rows, which have personal data: the API shows none without a record of who saw it."""
    return {name: value for name, value in counts.items() if name not in {"rows", "rows_problem"}}

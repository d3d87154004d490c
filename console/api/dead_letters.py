"""Dead letters by HTTP, without their content: it may be personal data, and the pages record who sees it."""

from typing import get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, answering, document, read_fields
from console.context import ConsoleContext, refresh_soon
from console.forms import who
from console.redrive_plans import REMEDY, plan_letters, plan_unreadable
from management.dead_letter_documents import (
    group_document,
    letters_document,
    redrive_document,
    unreadable_redrive_document,
)
from management.dead_letter_fields import read_selection
from management.dead_letter_list import list_letters
from management.dead_letter_redrive import require_no_other
from management.fields import FieldValues, flag_of, number_of
from management.organizations.validation import InputError
from management.replay.jobs import submit
from management.unreadable_redrive import require_no_other_unreadable
from relay.dead_letters.closings import LetterState

_ROOT = f"{PREFIX}/dead-letters"
_DEFAULT_LIMIT, _MAX_LIMIT = 50, 1_000


def routes(context: ConsoleContext) -> list[BaseRoute]:
    async def list_all(request: Request) -> Response:
        """List the newest letters of a selection, and the numbers of all by destination and reason."""
        query = dict(request.query_params)
        asked = number_of({"limit": query.pop("limit", None)}, "limit")
        limit = _DEFAULT_LIMIT if asked is None else asked
        if not 1 <= limit <= _MAX_LIMIT:
            raise InputError(f"limit must be from 1 to {_MAX_LIMIT:,}.")
        selection = read_selection(query)
        found = await context.long_reads.run(
            lambda: list_letters(context.connection, selection, limit), REMEDY
        )
        return document(
            {
                "letters": letters_document(found.newest),
                "reasons": list(map(group_document, found.groups)),
                "states": {state: found.states[state] for state in get_args(LetterState)},
                "problems": list(found.unreadable),
            }
        )

    async def redrive(request: Request) -> Response:
        """Start the redrive of open letters; with `dry_run`, count them alone."""
        fields = dict(await read_fields(request))
        is_dry_run = flag_of(fields, "dry_run")
        fields.pop("dry_run", None)
        if flag_of(fields, "producer"):
            return await _redrive_unreadable(context, fields, who(request), is_dry_run=is_dry_run)
        fields.pop("producer", None)
        plan = await plan_letters(context, fields, who(request))
        failures = []
        if not is_dry_run:
            await require_no_other(context.connection, plan.jobs, context.now_ms())
            failures = [await submit(context.connection, each.job) for each in plan.jobs]
            await refresh_soon(context)
        answer = redrive_document(plan, started=not is_dry_run and bool(plan.jobs))
        return document(answer | {"failures": [each for each in failures if each is not None]})

    return [
        Route(_ROOT, answering(list_all), methods=["GET"]),
        Route(f"{_ROOT}/redrive", answering(redrive), methods=["POST"]),
    ]


async def _redrive_unreadable(
    context: ConsoleContext, fields: FieldValues, person: str, *, is_dry_run: bool
) -> Response:
    """Let the producers read their letters again; a dry run counts alone."""
    asked = {name: value for name, value in fields.items() if name != "producer"}
    plan = await plan_unreadable(context, asked, person)
    failure, started = None, plan.job is not None and not is_dry_run
    if started and plan.job is not None:
        await require_no_other_unreadable(context.connection, plan.job.organizations, context.now_ms())
        failure = await submit(context.connection, plan.job)
        await refresh_soon(context)
    answer = unreadable_redrive_document(plan, started=started)
    return document(answer | {"failures": [] if failure is None else [failure]})

"""Several organizations at once: chosen from a list, confirmed once, each result named as soon as it is known."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext, refresh_soon
from console.forms import MAX_CHOICES, choice_route, who
from console.pages.organization_changes import page_of
from console.pages.organization_rows import RowQuery, select
from console.rendering import Pages, sentence_markup
from management.organizations.bulk import BulkAction, BulkOutcome, run_bulk
from management.organizations.results import ChangeFailure
from relay.errors import RelayError

_TABLE, _END = "<!-- table -->", "<!-- end -->"
_ACTIONS: Mapping[str, BulkAction] = {"pause": "pause", "resume": "resume", "test": "test"}


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    bulk = _Bulk(context, pages)
    return [
        Route("/organizations/bulk", bulk.choose, methods=["GET"]),
        choice_route(context, "/organizations/bulk/confirm", bulk.confirm),
        choice_route(context, "/organizations/bulk", bulk.run),
    ]


class _Bulk:
    def __init__(self, context: ConsoleContext, pages: Pages) -> None:
        self._context = context
        self._pages = pages

    async def choose(self, request: Request) -> Response:
        return self._render_choice(request, RowQuery.of(request.query_params))

    def _render_choice(self, request: Request, query: RowQuery, problem: str | None = None) -> Response:
        return self._pages.render(
            request,
            "organization_bulk.html",
            HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
            query=query,
            found=select(self._context.organizations(), query, MAX_CHOICES),
            chosen=request.query_params.get("all") == "1",
            problem=problem,
        )

    async def confirm(self, request: Request, fields: Mapping[str, str], names: Sequence[str]) -> Response:
        action = _ACTIONS.get(fields.get("action", ""))
        if action is None or not names:
            return self._render_choice(
                request, RowQuery.of(fields), "Choose at least one organization, and what to do."
            )
        return self._pages.render(
            request, "organization_bulk_confirm.html", action=action, names=sorted(set(names))
        )

    async def run(self, request: Request, fields: Mapping[str, str], names: Sequence[str]) -> Response:
        action = _ACTIONS.get(fields.get("action", ""))
        if action is None or not names:
            return self._render_choice(
                request, RowQuery(), "Choose at least one organization, and what to do."
            )
        page = self._pages.render(request, "organization_bulk_run.html", action=action, count=len(set(names)))
        streamed = StreamingResponse(
            self._stream(request, action, names, bytes(page.body).decode()),
            media_type="text/html; charset=utf-8",
        )
        # A proxy that collects the answer would hide the progress.
        streamed.headers["X-Accel-Buffering"] = "no"
        return streamed

    async def _stream(
        self, request: Request, action: BulkAction, names: Sequence[str], page: str
    ) -> AsyncIterator[str]:
        """Yield the page, a row for each result, and what they come to. Without a result there is no table."""
        head, _, rest = page.partition(_TABLE)
        table, _, tail = rest.partition(_END)
        yield head
        counts: Counter[str] = Counter()
        problem = None
        try:
            async for outcome in run_bulk(self._context.operator_for(who(request)), names, action):
                if not counts:
                    yield table
                counts[_word(outcome)] += 1
                yield str(_row(outcome))
        except RelayError as error:
            problem = str(error)
        await refresh_soon(self._context)
        yield str(_summary(counts, len(set(names)), problem)) + tail


def _word(outcome: BulkOutcome) -> str:
    if not isinstance(outcome, ChangeFailure):
        return outcome.action
    return "failed"


def _row(outcome: BulkOutcome) -> Markup:
    failed = isinstance(outcome, ChangeFailure)
    text = outcome.reason if isinstance(outcome, ChangeFailure) else " ".join(outcome.remarks)
    return Markup(
        '<tr><th scope="row"><a href="{}">{}</a></th><td><span class="state {}">{}</span></td><td class="reason">{}</td></tr>\n'
    ).format(
        page_of(outcome.name),
        outcome.name,
        "failing" if failed else "active",
        _word(outcome),
        sentence_markup(text),
    )


def _summary(counts: Counter[str], wanted: int, problem: str | None) -> Markup:
    """Return the end of the table if there is one, and the sum. `problem`: why the rest was not done."""
    end = Markup("</tbody></table></div>\n") if counts else ""
    done = ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items())) or "none"
    kind = "good" if problem is None and not counts["failed"] else "bad"
    missing = wanted - counts.total()
    rest = f" {missing:,} were not done. " if missing else ""
    return Markup(
        '{}<div class="note {} below" role="status"><p><strong>Done: {}.</strong>{}{}</p></div>'
    ).format(end, kind, done, rest, sentence_markup(problem or ""))

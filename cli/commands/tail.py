"""`jira-relay tail`."""

import asyncio
import json
from typing import Annotated

import typer

from cli.context import CommandContext
from cli.output import escape_controls, print_error
from management.events.condition import compile_condition
from management.events.feed import EventFeed
from management.events.stored_event import StoredEvent
from management.formatting import iso_seconds
from relay.errors import RelayError
from relay.timestamps import now_ms

LOOK_SECONDS = 1.0


def tail_command(
    context: typer.Context,
    organization: Annotated[
        str,
        typer.Argument(metavar="[NAME]", help="Name of an organization. Default: all.", show_default=False),
    ] = "",
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="SQL",
            help="Show the events that meet a condition, as filters of destinations have it.",
        ),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=1_000, help="Number of events from before, at first.")
    ] = 10,
    follow: Annotated[
        bool,
        typer.Option("--follow/--no-follow", help="Go on until Ctrl-C, or end after the events from before."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
) -> None:
    """Values that may be personal are not shown; `jira-relay events show` shows them. While Kafka is away, the command waits for it."""
    state: CommandContext = context.obj
    select = None if where is None else compile_condition(where)
    connection = state.connection()
    feed = EventFeed(connection, state.settings.schema_registry, organization, select, now_ms)

    async def run() -> None:
        await connection.verify()
        before, told = await feed.read(), set[str]()
        _print_gaps(feed, told)
        _print(before[-lines:] if lines else [], as_json=as_json)
        while follow:
            await asyncio.sleep(LOOK_SECONDS)
            await _look(feed, told, as_json=as_json)

    state.run_quietly(run())


async def _look(feed: EventFeed, told: set[str], *, as_json: bool) -> None:
    """Print what is new. A failure of Kafka is printed, and the next look goes on from the same place."""
    try:
        events = await feed.read()
    except RelayError as error:
        print_error(str(error))
        return
    _print_gaps(feed, told)
    _print(events, as_json=as_json)


def _print_gaps(feed: EventFeed, told: set[str]) -> None:
    """Print why events of the last reading are missing. `told`: what is printed once alone."""
    if feed.passed:
        print_error(f"{feed.passed:,} offsets were passed over: events come faster than they are shown.")
    if feed.undecodable:
        print_error(f"{feed.undecodable:,} records could not be decoded, and are not shown.")
    for text in feed.problems.values():
        if text not in told:
            told.add(text)
            print_error(f"{text} Its events are not shown.")


def _print(events: list[StoredEvent], *, as_json: bool) -> None:
    for each in events:
        print(json.dumps(each.document()) if as_json else escape_controls(event_line(each)), flush=True)


def event_line(found: StoredEvent) -> str:
    """Return the event on one line: when it was collected, EventUid, mode, category, summary."""
    event = found.event
    words = (iso_seconds(found.at), found.uid, event.get("mode"), event.get("category"), event.get("summary"))
    return "  ".join(str(word) for word in words if word)

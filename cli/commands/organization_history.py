"""`jira-relay organizations history`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from cli.context import CommandContext
from cli.output import JsonOption, escape_controls, print_error, print_json, print_wrapped
from management.change_history import ChangeEntry, ChangeHistory, ChangeQuery
from management.formatting import iso_seconds
from management.times import parse_time
from management.topic_follower import FollowerTiming
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.timestamps import now_ms

_TIMING = FollowerTiming(read_seconds=60.0)


def history_command(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="[NAME]", help="Name of an organization. Default: all.", show_default=False),
    ] = "",
    since: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TIME", help="Leave out earlier changes: a day or a time of ISO 8601, UTC."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=20_000, help="Number of changes, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show who added, changed, paused, resumed or deleted organizations, and when, newest first, with each value before and after.

    Views of personal data are in it too. Kafka keeps changes for 400 days; a deleted organization keeps its history.
    """
    state: CommandContext = context.obj
    query = ChangeQuery(name=name, from_ms=None if since is None else parse_time(since))
    history: ChangeHistory = state.run_quietly(read_history(state.connection()))
    found = [entry for entry in history.select(query) if entry.subject != "destination"]
    for problem in history.problems:
        print_error(problem)
    if as_json:
        print_json([entry.document() for entry in found[:limit]])
        return
    _print(found[:limit])
    if len(found) > limit:
        older = len(found) - limit
        print_wrapped(
            f"{older:,} older change{'s are' if older != 1 else ' is'} not shown; --limit shows more."
        )
    elif history.is_cut and history.oldest is not None:
        print_wrapped(f"Changes before {iso_seconds(history.oldest)} are not shown.")
    elif not found:
        print("There is no such change.")


async def read_history(connection: Connection) -> ChangeHistory:
    """Return the history of changes, read to its end. Raises RelayError."""
    await connection.verify()
    history = ChangeHistory(connection, now_ms, _TIMING)
    state = await history.refresh()
    if state.failure is not None:
        raise RelayError(state.failure)
    return history


def _print(entries: Sequence[ChangeEntry]) -> None:
    for entry in entries:
        print_wrapped(f"{iso_seconds(entry.at)}  {entry.name}: {entry.what} by {entry.who}")
        for name, before, after in entry.differences():
            print(f"  {escape_controls(f'{name}: {_change(before, after)}')}")


def _change(before: str, after: str) -> str:
    if not before:
        return after
    return f"{before} -> {after or 'none'}"

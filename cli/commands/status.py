"""`jira-relay status` and `jira-relay top`."""

import asyncio
import logging
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from cli.context import CommandContext
from cli.output import JsonOption, print_json, terminal_width
from cli.status_screen import organization_lines, status_lines
from management.installation import Installation, view_installation
from management.live_view import LiveView
from management.organizations.validation import InputError
from relay.errors import RelayError
from relay.timestamps import now_ms

WIDTH = 100
"""Of the lines where standard output is no terminal."""
LOOKS = 3
"""A Kafka that answers slowly once, such as during an election, is asked again."""


def status_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """It reads what running services report, and tests no connection: `jira-relay check` does. The exit code is 1 if something fails."""
    state: CommandContext = context.obj
    seen: Installation = state.run_quietly(_look_once(state))
    if as_json:
        print_json(seen.document())
    else:
        for line in status_lines(seen, state.connection().bootstrap, terminal_width() or WIDTH):
            print(line)
    if seen.is_failing:
        raise typer.Exit(1)


def top_command(
    context: typer.Context,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=1, max=3600, help="Time between two looks.")
    ] = 2.0,
) -> None:
    if terminal_width() is None:
        raise InputError(
            "top needs a terminal. Run `jira-relay status`, or `jira-relay status --json` in scripts."
        )
    state: CommandContext = context.obj
    state.run_quietly(_follow(state, interval))


async def _look_once(state: CommandContext) -> Installation:
    connection, destinations = state.connection(), state.settings.destinations
    await connection.verify()
    _silence_logs()
    view = LiveView(connection, destinations, now_ms)
    try:
        for _ in range(LOOKS):
            await view.refresh()
            if view.snapshot.failure is None:
                break
    finally:
        await view.close()
    if view.snapshot.failure is not None:
        raise RelayError(view.snapshot.failure)
    return view_installation(view.snapshot, destinations, now_ms(), state.key_ids())


async def _follow(state: CommandContext, interval: float) -> None:
    """Show each look until the command is interrupted. While Kafka is away, the last content stays, with the reason."""
    connection, destinations, keys = state.connection(), state.settings.destinations, state.key_ids()
    await connection.verify()
    _silence_logs()
    view = LiveView(connection, destinations, now_ms)
    console = Console(file=sys.stdout, highlight=False)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                await view.refresh()
                seen = view_installation(view.snapshot, destinations, now_ms(), keys)
                live.update(Text(_screen(seen, connection.bootstrap, console)), refresh=True)
                await asyncio.sleep(interval)
    finally:
        await view.close()


def _silence_logs() -> None:
    """Write no log line from here on: its content is on the screen, which it would garble, or in the error."""
    logging.root.setLevel(logging.CRITICAL + 1)


def _screen(seen: Installation, bootstrap: str, console: Console) -> str:
    """Return the lines that fit the terminal, which the shell may have resized."""
    width, height = console.size.width, console.size.height
    lines = status_lines(seen, bootstrap, width, with_rates=True)
    lines += ["", *organization_lines(seen, width)]
    return "\n".join(lines[:height])

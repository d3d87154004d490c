"""`jira-relay sandbox`. The simulators and the Kafka are imported when it runs: an image has neither."""

import asyncio
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from cli.context import CommandContext
from management.settings import load
from relay.errors import SettingsError


def sandbox_command(
    context: typer.Context,
    destinations: Annotated[
        str | None,
        typer.Option(
            metavar="<kind,…>", help="Kinds of destinations; an unknown one lists those that there are."
        ),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(help="Serve only the audit records of this file, one JSON object a line."),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds until the verdict. Default: until Ctrl-C, or until all records of the file have arrived.",
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option(min=1, max=60, help="Seconds between two rounds of an organization.")
    ] = 2.0,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep data, logs and rows, and print their directory.")
    ] = False,
) -> None:
    """Of the settings it uses embedded.maven_repository alone, the source of the Kafka download."""
    try:
        from sandbox.destinations.catalogue import DEFAULT, PEERS  # noqa: PLC0415 - see above
        from sandbox.run import SandboxOptions, run  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"sandbox", "simulators", "embedded"}:
            raise
        raise SettingsError(
            "This installation has no sandbox. Install jira-audit-relay[embedded] with pip, or run `make sandbox` in its repository."
        ) from error
    state: CommandContext = context.obj
    options = SandboxOptions(
        _kinds(destinations, PEERS) if destinations else DEFAULT,
        records,
        duration,
        keep,
        _maven_repository(state),
        _program_call(),
        interval,
    )
    if not asyncio.run(run(options)):
        raise typer.Exit(1)


def _kinds(text: str, known: Iterable[str]) -> list[str]:
    """Return the kinds of destinations, each once, in the order of `text`. Raises SettingsError for one that is not known."""
    kinds = list(dict.fromkeys(each.strip() for each in text.split(",")))
    for kind in kinds:
        if kind not in known:
            raise SettingsError(f"The sandbox has no destination {kind!r}; it has {', '.join(known)}.")
    return kinds


def _maven_repository(state: CommandContext) -> str | None:
    environ = {
        name: value for name, value in os.environ.items() if name.upper().startswith("RELAY_EMBEDDED__")
    }
    try:
        return load(state.config, environ).embedded.maven_repository
    except SettingsError:
        return None


def _program_call() -> str:
    """Return the shell command that starts this program."""
    path = Path(sys.argv[0]).absolute()
    if path.name == "jira-relay":
        return shlex.quote(str(path))
    return f"{shlex.quote(sys.executable)} -m cli"

"""`jira-relay sandbox`. Nothing heavy is imported until it is run: an image has neither simulators nor a Kafka."""

import asyncio
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.context import CommandContext
from management.settings import load
from relay.errors import SettingsError


def sandbox_command(
    context: typer.Context,
    records: Annotated[
        Path | None,
        typer.Option(help="Serve the audit records of this file, one JSON object a line, and nothing else."),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds until the verdict. Default: until Ctrl-C, or until a file has arrived."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep its data, logs and rows, and tell where.")
    ] = False,
) -> None:
    """Run a world of its own: Kafka, simulated Jira and Azure, the relay between them; then tell whether all arrived.

    It takes nothing from other settings but where Kafka is fetched from (embedded.maven_repository).
    """
    try:
        from sandbox.run import SandboxOptions, run  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"sandbox", "simulators", "embedded"}:
            raise
        raise SettingsError(
            "This installation has no sandbox: install jira-audit-relay[embedded] with pip, or run `make sandbox` in its repository."
        ) from error
    state: CommandContext = context.obj
    options = SandboxOptions(records, duration, keep, _maven_repository(state), _program_call())
    if not asyncio.run(run(options)):
        raise typer.Exit(1)


def _maven_repository(state: CommandContext) -> str | None:
    environ = {
        name: value for name, value in os.environ.items() if name.upper().startswith("RELAY_EMBEDDED__")
    }
    try:
        return load(state.config, environ).embedded.maven_repository
    except SettingsError:
        return None


def _program_call() -> str:
    """How this very program is called."""
    path = Path(sys.argv[0]).absolute()
    if path.name == "jira-relay":
        return shlex.quote(str(path))
    return f"{shlex.quote(sys.executable)} -m cli"

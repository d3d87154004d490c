"""`jira-relay`: one thin command over services and management.

Exit code 0: done; 1: not done, with a sentence on standard error; 2: wrong usage or settings.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.context import Context, explain
from relay.errors import RelayError, SettingsError

COMMANDS = {
    "up": "cli.services:up_command",
    "sandbox": "cli.sandbox:sandbox_command",
    "produce": "cli.services:produce_command",
    "consume": "cli.services:consume_command",
    "organizations": "cli.organizations:app",
    "topics": "cli.topics:app",
    "schemas": "cli.schemas:app",
}
"""In the order of `--help`: where each command is. It is loaded when it is asked for."""

OPTIONAL_ROOMS = {"sandbox", "embedded", "cli.sandbox"}


class Commands(TyperGroup):
    """The commands of this installation: an image for outside clusters has no sandbox, and no command for it."""

    def list_commands(self, _context: Any) -> list[str]:
        return [name for name in COMMANDS if _load(name) is not None]

    def get_command(self, _context: Any, name: str) -> Any:
        return _load(name) if name in COMMANDS else None


def _load(name: str) -> Any:
    """None: the command needs a room that this installation does not have."""
    module, _, attribute = COMMANDS[name].partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name in OPTIONAL_ROOMS:
            return None
        raise
    parent = typer.Typer(add_completion=False, rich_markup_mode=None)
    parent.callback()(lambda: None)
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=name)
    else:
        parent.command(name)(found)
    return typer.main.get_group(parent).commands[name]


app = typer.Typer(
    name="jira-relay",
    cls=Commands,
    help="Carries every Jira audit record, exactly once, through Kafka to Microsoft Sentinel and other destinations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def begin(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file (TOML); else ./relay.toml if present.")
    ] = None,
) -> None:
    context.obj = Context(config)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: what is an operator's to know is one sentence, never a traceback."""
    try:
        app(arguments)
    except SettingsError as error:
        explain(str(error))
        sys.exit(2)
    except RelayError as error:
        explain(str(error))
        sys.exit(1)

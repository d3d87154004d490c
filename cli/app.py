"""`jira-relay`: one thin command over services and management.

Exit code 0: done; 1: not done, with a sentence on standard error; 2: wrong usage or settings. Where a document was asked
for (`--json`), there is one in any case, if only of the error.
"""

import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.context import CommandContext
from cli.output import JSON_FLAG, print_error, print_json
from management.organizations.validation import InputError
from relay.errors import RelayError, SettingsError
from relay.lifecycle import keep_memory_private

COMMANDS = {
    "up": "cli.commands.run:up_command",
    "sandbox": "cli.commands.sandbox:sandbox_command",
    "produce": "cli.commands.run:produce_command",
    "consume": "cli.commands.run:consume_command",
    "organizations": "cli.commands.organizations:app",
    "topics": "cli.commands.topics:app",
    "schemas": "cli.commands.schemas:app",
    "dead-letters": "cli.commands.dead_letters:app",
    "check": "cli.commands.check:check_command",
}
"""In the order of `--help`: where each command is. It is loaded when it is asked for."""

_WRITE_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LazyCommands(TyperGroup):
    """The commands by name; one that cannot be loaded costs no other."""

    def list_commands(self, _context: Any) -> list[str]:
        return [name for name in COMMANDS if _is_installed(name)]

    def get_command(self, _context: Any, name: str) -> Any:
        return _load_command(name) if name in COMMANDS and _is_installed(name) else None


def _is_installed(name: str) -> bool:
    """The image has no sandbox."""
    return find_spec(COMMANDS[name].partition(":")[0]) is not None


def _load_command(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    parent = typer.Typer(add_completion=False, rich_markup_mode=None)
    parent.callback()(lambda: None)
    if isinstance(command, typer.Typer):
        parent.add_typer(command, name=name)
    else:
        parent.command(name)(command)
    return typer.main.get_group(parent).commands[name]


app = typer.Typer(
    name="jira-relay",
    cls=LazyCommands,
    help="Carries every Jira audit record, exactly once, through Kafka to Microsoft Sentinel and other destinations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"jira-relay {version('jira-audit-relay')}")
        raise typer.Exit


@app.callback()
def configure(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file (TOML); else ./relay.toml if present.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.obj = CommandContext(config)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: what is an operator's to know is one sentence, never a traceback."""
    keep_memory_private()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run_command(sys.argv[1:] if arguments is None else arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in _WRITE_ERRORS:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:  # else whoever read it has seen enough
            print_error(f"Not everything could be written: {error.strerror}.")
        code = 1
    sys.exit(code)


def _run_command(arguments: Sequence[str]) -> int:
    try:
        app(arguments)
    except (SettingsError, InputError) as error:
        return _report_error(arguments, str(error), 2)
    except RelayError as error:
        return _report_error(arguments, str(error), 1)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code == 2 and JSON_FLAG in arguments:  # the sentence stands on standard error already
            print_json({"error": "The command was not understood."})
        return code
    return 0


def _report_error(arguments: Sequence[str], message: str, code: int) -> int:
    print_error(message)
    if JSON_FLAG in arguments:
        print_json({"error": message})
    return code


if __name__ == "__main__":
    main()

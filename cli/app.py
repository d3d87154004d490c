"""`jira-relay`: one thin command over services and management.

Exit code 0: done; 1: failed, with a sentence on standard error; 2: wrong usage or settings. With `--json` there is always a
document on standard output, also for an error.
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

from cli.completion import PROGRAM, prepare_completion
from cli.context import CommandContext
from cli.fatal import ensure_logging, is_service, report_fatal
from cli.output import JSON_FLAG, print_error, print_json
from management.organizations.validation import InputError
from relay.errors import RelayError, SettingsError
from relay.lifecycle import keep_memory_private

COMMANDS = {
    "up": "cli.commands.run:up_command",
    "sandbox": "cli.commands.sandbox:sandbox_command",
    "produce": "cli.commands.run:produce_command",
    "consume": "cli.commands.run:consume_command",
    "console": "cli.commands.run:console_command",
    "organizations": "cli.commands.organizations:app",
    "destinations": "cli.commands.destinations:app",
    "replay": "cli.commands.replay:app",
    "topics": "cli.commands.topics:app",
    "schemas": "cli.commands.schemas:app",
    "dead-letters": "cli.commands.dead_letters:app",
    "api-token": "cli.commands.api_token:api_token_command",
    "config": "cli.commands.config:app",
    "check": "cli.commands.check:check_command",
    "completion": "cli.commands.completion:completion_command",
}
"""Module and attribute of each command, in the order of `--help`. A command is loaded when it is used."""

_WRITE_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LazyCommands(TyperGroup):
    """Loads a command when it is used, so that a module that fails to load affects its own command alone."""

    def list_commands(self, _context: Any) -> list[str]:
        return [name for name in COMMANDS if _is_installed(name)]

    def get_command(self, _context: Any, name: str) -> Any:
        return _load_command(name) if name in COMMANDS and _is_installed(name) else None


def _is_installed(name: str) -> bool:
    """Return whether the command is part of this installation. The image has no sandbox."""
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
    help="Deliver every Jira audit record exactly once, through Kafka, to Microsoft Sentinel and other destinations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"jira-relay {version('jira-audit-relay')}")
        raise typer.Exit


@app.callback()
def configure(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Settings file (TOML). Default: ./relay.toml, if it exists. Relative paths in it start at its directory."
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    context.obj = CommandContext(config, 1.0 if context.obj is None else context.obj)


def main(arguments: Sequence[str] | None = None, patience: float = 1.0) -> None:
    """Run a command and exit. An operator's error is a sentence on standard error; only a defect has a traceback.

    `patience`: that of its connection to Kafka.
    """
    keep_memory_private()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run_command(sys.argv[1:] if arguments is None else arguments, patience)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in _WRITE_ERRORS:
            raise
        # Python flushes standard output once more at its exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:  # a reader that closes the pipe has what it needs
            print_error(f"The output is incomplete: {error.strerror}. Free space and run the command again.")
        code = 1
    sys.exit(code)


def _run_command(arguments: Sequence[str], patience: float) -> int:
    try:
        prepare_completion(os.environ)
        app(arguments, prog_name=PROGRAM, obj=patience)
    except (SettingsError, InputError) as error:
        return _report_error(arguments, error, 2)
    except RelayError as error:
        return _report_error(arguments, error, 1)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code == 2 and JSON_FLAG in arguments:  # typer has written the reason to standard error
            print_json({"error": "The command has wrong usage; standard error has the reason."})
        return code
    except Exception:
        if is_service(arguments):
            ensure_logging(arguments)
        raise
    return 0


def _report_error(arguments: Sequence[str], error: Exception, code: int) -> int:
    if is_service(arguments):
        report_fatal(error, arguments)
    else:
        print_error(str(error))
    if JSON_FLAG in arguments:
        print_json({"error": str(error)})
    return code


if __name__ == "__main__":
    main()

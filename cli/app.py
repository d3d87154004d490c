"""`jira-relay`: one thin command over services and management.

Exit code 0: done; 1: failed, with a sentence on standard error; 2: wrong usage or settings. With `--json` there is always a
document on standard output, also for an error.
"""

import errno
import importlib
import inspect
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import CompletionItem, TyperCommand, TyperGroup  # type: ignore[attr-defined]

from cli.command_table import COMMANDS
from cli.completion import PROGRAM, prepare_completion
from cli.output import JSON_FLAG, print_error, print_json
from relay.errors import RelayError
from relay.private_memory import keep_memory_private

SERVICES = ("up", "produce", "consume", "console")

_WRITE_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LazyCommands(TyperGroup):
    """Loads a command when it is used, so that a module that fails to load affects its own command alone."""

    def list_commands(self, _context: Any) -> list[str]:
        return [name for name, command in COMMANDS.items() if command.is_installed]

    def get_command(self, _context: Any, name: str) -> Any:
        return _load_command(name) if name in COMMANDS and COMMANDS[name].is_installed else None

    def format_commands(self, context: Any, formatter: Any) -> None:
        """Write the list of commands without loading one."""
        names = self.list_commands(context)
        limit = formatter.width - 6 - max(map(len, names))  # the spaces around a name
        with formatter.section("Commands"):
            formatter.write_dl([(name, _short_help(name, limit)) for name in names])

    def shell_complete(self, context: Any, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, and the options, without loading a command."""
        names = [name for name in self.list_commands(context) if name.startswith(incomplete)]
        options = super(TyperGroup, self).shell_complete(context, incomplete)
        return [*(CompletionItem(name, help=_short_help(name, 45)) for name in names), *options]


def _short_help(name: str, limit: int) -> str:
    return TyperCommand(name, help=COMMANDS[name].summary).get_short_help_str(limit)


def _load_command(name: str) -> Any:
    module, _, attribute = COMMANDS[name].path.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    parent = typer.Typer(add_completion=False, rich_markup_mode=None)
    parent.callback()(lambda: None)
    summary = COMMANDS[name].summary
    if isinstance(command, typer.Typer):
        parent.add_typer(command, name=name, help=summary)
    else:
        following = inspect.getdoc(command)
        parent.command(name, help=f"{summary}\n\n{following}" if following else summary)(command)
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
        from importlib.metadata import version  # noqa: PLC0415 - reads archives and mail headers

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
    from cli.context import CommandContext  # noqa: PLC0415 - it has the settings of all rooms, and `--help` needs none

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
    except RelayError as error:
        return _report_error(arguments, error)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code == 2 and JSON_FLAG in arguments:  # typer has written the reason to standard error
            print_json({"error": "The command has wrong usage; standard error has the reason."})
        return code
    except Exception:
        if _is_service(arguments):
            from cli.fatal import ensure_logging  # noqa: PLC0415 - opens the log, which other commands do without

            ensure_logging(arguments)
        raise
    return 0


def _is_service(arguments: Sequence[str]) -> bool:
    """Return whether the arguments run a service, whose standard error is its log."""
    return any(argument in SERVICES for argument in arguments)


def _report_error(arguments: Sequence[str], error: RelayError) -> int:
    if _is_service(arguments):
        from cli.fatal import report_fatal  # noqa: PLC0415 - opens the log, which other commands do without

        report_fatal(error, arguments)
    else:
        print_error(str(error))
    if JSON_FLAG in arguments:
        print_json({"error": str(error)})
    return error.exit_code


if __name__ == "__main__":
    main()

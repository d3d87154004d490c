"""Completion of commands and options in a shell, as typer has it for bash, zsh and fish."""

from collections.abc import Mapping
from typing import Literal

PROGRAM = "jira-relay"
Shell = Literal["bash", "zsh", "fish"]

_VARIABLE = "_JIRA_RELAY_COMPLETE"
"""The scripts run the program with it, and typer derives it from the name of the program."""


def completion_script(shell: Shell) -> str:
    """Return the lines that a shell evaluates at its start."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # noqa: PLC0415 - see below

    script: str = get_completion_script(prog_name=PROGRAM, complete_var=_VARIABLE, shell=shell)
    return script


def prepare_completion(environ: Mapping[str, str]) -> None:
    """Make typer know the shells if one of them asks for completions. Other runs do not load that part of typer."""
    if _VARIABLE in environ:
        from typer.completion import completion_init  # type: ignore[attr-defined] # noqa: PLC0415

        completion_init()

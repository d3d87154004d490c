"""The question before a replay, a redrive or a move begins. Nothing has begun when it raises."""

import sys

import typer

from management.organizations.validation import InputError


def require_person(not_done: str, *, as_json: bool) -> None:
    """Raise InputError where nobody can be asked. `not_done`: a sentence without its period, such as `The replay was not started`.

    With --json nobody is asked: the plan is not shown, and the answer must be one document.
    """
    if as_json or sys.stdin is None or not sys.stdin.isatty():
        raise InputError(f"{not_done}: give --yes, since nobody can be asked here.")


def require_typed(names: str, purpose: str, not_done: str) -> None:
    """Ask for the names of destinations, which a wrong key cannot give. Raises InputError for another text."""
    typed: str = typer.prompt(f"Type {names} to {purpose}", default="", show_default=False)
    if typed.strip() != names:
        raise InputError(f"{not_done}: the name of the destination was not typed.")

"""`jira-relay organizations apply` and `export`: organizations as a file."""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.context import CommandContext
from cli.input import STANDARD_INPUT, read_key, read_text
from cli.operator_context import open_operator_context
from cli.organization_options import TestOption
from cli.output import JsonOption, escape_controls, print_error, print_json
from cli.results import print_results
from management.context import OperatorContext
from management.organizations import apply_file
from management.organizations.apply_file import read_entries
from management.organizations.export import export_members, render_toml
from management.organizations.results import ChangeFailure, ChangeResult
from management.organizations.store import read_organizations
from management.organizations.validation import InputError
from producer.sources.catalogue import input_rules
from relay.organizations import Organization


def apply_command(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="File in TOML ([[organizations]]) or JSON (a list); - is standard input.")
    ],
    test: TestOption = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the changes without making them. No connection is tested.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Delete the organizations that the file does not name, after confirmation."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking for confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add and modify organizations until they match a file. Those that it does not name are kept, unless --prune is given.

    Applying the same file again changes nothing. Members: url, user, api_key_file or api_key_ref, name, interval_seconds,
    backfill_days, key_expires, gateway, state (active or paused). interval_seconds, backfill_days and key_expires are reset to
    their defaults if the file leaves them out; the result says so. A relative api_key_file starts at the file's directory; on standard
    input, at the working directory. --prune deletes nothing if a change fails.
    """
    state: CommandContext = context.obj
    base = Path() if file == STANDARD_INPUT else Path(file).expanduser().parent
    entries = read_entries(
        read_text(file), _display_name(file), lambda name: _read_key_beside(name, base), input_rules()
    )
    unlisted: list[str] = (
        state.run_quietly(apply_file.find_unlisted(state.connection(), entries)) if prune else []
    )
    if unlisted and not (yes or dry_run):
        _confirm(unlisted)

    def changes(operator: OperatorContext) -> AsyncIterator[ChangeResult | ChangeFailure]:
        return apply_file.apply_entries(operator, entries, unlisted, test=test, dry_run=dry_run)

    print_each(state, changes, as_json=as_json, summary=True)


def export_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """Print all organizations as a file for `organizations apply`. It holds no API key, only references to keys.

    Applying it here changes nothing: stored keys are kept. Elsewhere, each organization without a reference needs an
    api_key_file first.
    """
    state: CommandContext = context.obj
    found: dict[str, Organization] = state.run_quietly(read_organizations(state.connection()))
    organizations = [found[name] for name in sorted(found)]
    if as_json:
        print_json([export_members(organization) for organization in organizations])
    elif organizations:
        print(render_toml(organizations))


def print_each(
    state: CommandContext,
    work: Callable[[OperatorContext], AsyncIterator[ChangeResult | ChangeFailure]],
    *,
    as_json: bool,
    summary: bool = False,
) -> None:
    """Print the results of `work` one by one, and exit with 1 if one is a failure."""

    async def run_all() -> bool:
        async with open_operator_context(state) as operator:
            return await print_results(work(operator), as_json=as_json, summary=summary)

    if not state.run_quietly(run_all()):
        raise typer.Exit(1)


def _confirm(names: Sequence[str]) -> None:
    """Ask for a typed confirmation. Raises InputError without one; then nothing was changed."""
    listed = ", ".join(map(escape_controls, names))
    print_error(f"--prune deletes {len(names)} of the stored organizations: {listed}.")
    if not _is_terminal():
        raise InputError("Nothing was changed. Confirm the deletion with --yes, or see it with --dry-run.")
    if input(f"Type `delete {len(names)}` to go on: ").strip() != f"delete {len(names)}":
        raise InputError("Nothing was changed, because the deletion was not confirmed.")


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _display_name(file: str) -> str:
    return "standard input" if file == STANDARD_INPUT else file


def _read_key_beside(name: str, base: Path) -> Any:
    if name == STANDARD_INPUT:
        raise InputError("api_key_file must be the path of a file.")
    return read_key(name, base)

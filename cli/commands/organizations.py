from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.context import CommandContext, current_operator
from cli.input import STANDARD_INPUT, key_from_options, read_key, read_text
from cli.operator_context import open_operator_context
from cli.organization_view import organization_facts, organization_row
from cli.output import JsonOption, escape_controls, print_facts, print_json, print_table
from cli.results import print_result, print_results
from management.connection_test import OperatorContext
from management.organizations import apply_file, commands, key_rotation
from management.organizations.apply_file import ChangeFailure, read_entries
from management.organizations.commands import ChangeResult
from management.organizations.store import read_organizations, require_existing
from management.organizations.validation import (
    MAX_BACKFILL_DAYS,
    MAX_INTERVAL_SECONDS,
    InputError,
    OrganizationChange,
    validate_backfill,
    validate_expiry,
    validate_interval,
    validate_url,
    validate_user,
)
from management.organizations.view import OrganizationView, build_views, read_organization_statuses
from relay.kafka.connection import Connection
from relay.timestamps import now_ms

app = typer.Typer(help="The Jira organizations that are followed.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="As `organizations list` shows it.", show_default=False)]
KeyFileOption = Annotated[
    str | None,
    typer.Option(
        "--api-key-file", metavar="FILE", help="The file that holds the API key; - is standard input."
    ),
]
KeyReferenceOption = Annotated[
    str | None,
    typer.Option(
        "--api-key-ref",
        metavar="REF",
        help="Where producers find the API key: env:RELAY_KEY_… or file:NAME (in secrets.directory).",
    ),
]
IntervalOption = Annotated[
    int | None,
    typer.Option(
        metavar="SECONDS",
        help=f"Time between two rounds, 1 to {MAX_INTERVAL_SECONDS}; 0: as set for the producer.",
    ),
]
BackfillOption = Annotated[
    int | None,
    typer.Option(
        metavar="DAYS",
        help=f"Days of history before it was added, 0 to {MAX_BACKFILL_DAYS}.",
    ),
]
ExpiresOption = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="The day on which the API key expires (2026-12-31), or `never`."),
]
TestOption = Annotated[
    bool,
    typer.Option(
        "--test/--no-test",
        help="Try the connection first. Without: for a machine that cannot reach Jira, or a Jira that is down; what is live then"
        " begins by the clock of this machine, not by Jira's: see that it is right.",
    ),
]
GatewayOption = Annotated[
    bool | None,
    typer.Option(
        "--gateway/--no-gateway",
        help="Whether the API key has scopes, and goes through Atlassian's gateway. A test finds that out by itself.",
    ),
]


@app.command("list")
def list_organizations(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show every organization, with its state in words."""
    state: CommandContext = context.obj
    views: list[OrganizationView] = state.run_quietly(_read_views(state.connection(), state.key_ids()))
    if as_json:
        print_json([view.document() for view in views])
    elif not views:
        print("No organization is followed yet: see `jira-relay organizations add --help`.")
    else:
        titles = ("Name", "URL", "Last event", "Complete up to", "Key expires", "State")
        print_table(titles, [organization_row(view) for view in views])
    older = [view.organization.name for view in views if view.sealed_with_first_key is False]
    if older and not as_json:
        print(
            f"Not sealed with the first key: {escape_controls(', '.join(older))}. See `jira-relay organizations reseal --help`."
        )


@app.command()
def show(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show all that is known of one organization, but its key."""
    state: CommandContext = context.obj
    views: list[OrganizationView] = state.run_quietly(_read_views(state.connection(), state.key_ids()))
    views_by_name = {view.organization.name: view for view in views}
    require_existing(views_by_name[name].organization if name in views_by_name else None, name)
    if as_json:
        print_json(views_by_name[name].document())
    else:
        print_facts(organization_facts(views_by_name[name]))


@app.command()
def add(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(help="Of the Jira site, such as https://acme.atlassian.net.", show_default=False)
    ],
    user: Annotated[
        str, typer.Option(help="The e-mail address of the account that has the API key.", show_default=False)
    ],
    api_key_file: KeyFileOption = None,
    api_key_ref: KeyReferenceOption = None,
    name: Annotated[str | None, typer.Option(help="Default: the host of the URL.")] = None,
    interval_seconds: IntervalOption = None,
    backfill_days: BackfillOption = None,
    key_expires: ExpiresOption = None,
    gateway: GatewayOption = None,
    test: TestOption = True,
    as_json: JsonOption = False,
) -> None:
    """Follow one more organization, after its connection was tested."""
    state: CommandContext = context.obj
    change = _change_from_options(
        url, user, api_key_file, api_key_ref, interval_seconds, backfill_days, key_expires, gateway
    )
    if change.key is None:
        raise InputError("Give the API key: --api-key-file FILE (- is standard input), or --api-key-ref REF.")
    print_result(
        state.run_quietly(_with_operator(state, commands.add, change, name, test=test)), as_json=as_json
    )


@app.command()
def modify(
    context: typer.Context,
    name: NameArgument,
    url: Annotated[str | None, typer.Option(help="The site's new URL; it must be the same site.")] = None,
    user: Annotated[str | None, typer.Option(help="Another account.")] = None,
    api_key_file: KeyFileOption = None,
    api_key_ref: KeyReferenceOption = None,
    interval_seconds: IntervalOption = None,
    backfill_days: BackfillOption = None,
    key_expires: ExpiresOption = None,
    gateway: GatewayOption = None,
    test: TestOption = True,
    as_json: JsonOption = False,
) -> None:
    """Change what is given, and keep the rest. Another URL or user needs the API key again."""
    state: CommandContext = context.obj
    change = _change_from_options(
        url, user, api_key_file, api_key_ref, interval_seconds, backfill_days, key_expires, gateway
    )
    if change == OrganizationChange():
        raise InputError("Nothing is to be changed: say what, see `jira-relay organizations modify --help`.")
    print_result(
        state.run_quietly(_with_operator(state, commands.modify, name, change, test=test)), as_json=as_json
    )


@app.command("test")
def try_connection(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Try the connection of an organization, as a producer would."""
    state: CommandContext = context.obj
    message: str = state.run_quietly(_with_operator(state, commands.test, name))
    if as_json:
        print_json({"name": name, "message": message})
    else:
        print(escape_controls(message))


@app.command()
def pause(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Stop polling an organization; its place is kept."""
    state: CommandContext = context.obj
    work = commands.set_state(state.connection(), name, "paused", who=current_operator(), now_ms=now_ms())
    print_result(state.run_quietly(work), as_json=as_json)


@app.command()
def resume(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Poll a paused organization again, from where it stood."""
    state: CommandContext = context.obj
    work = commands.set_state(state.connection(), name, "active", who=current_operator(), now_ms=now_ms())
    print_result(state.run_quietly(work), as_json=as_json)


@app.command()
def delete(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Stop following an organization, at once and without a question. Its events and its progress are kept."""
    state: CommandContext = context.obj
    work = commands.delete(state.connection(), name, who=current_operator(), now_ms=now_ms())
    print_result(state.run_quietly(work), as_json=as_json)


@app.command()
def apply(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="TOML ([[organizations]]) or JSON (a list); - is standard input.")
    ],
    test: TestOption = True,
    as_json: JsonOption = False,
) -> None:
    """Add and modify organizations until all is as a file says; again, nothing changes. Those it does not name are left alone.

    Members: url, user, api_key_file (found from the file's directory) or api_key_ref, name, interval_seconds,
    backfill_days, key_expires, gateway, state (active or paused).
    """
    state: CommandContext = context.obj
    base = Path() if file == STANDARD_INPUT else Path(file).expanduser().parent
    entries = read_entries(read_text(file), _display_name(file), lambda name: _read_key_beside(name, base))
    _print_each(state, lambda means: apply_file.apply_entries(means, entries, test=test), as_json=as_json)


@app.command()
def reseal(context: typer.Context, as_json: JsonOption = False) -> None:
    """Encrypt every API key anew with the first key of secrets, and bind every reference anew, so that older keys can go.

    What is sealed with the first key already is left alone. `jira-relay check` tells when no older key is needed any more.
    """
    state: CommandContext = context.obj
    _print_each(state, key_rotation.reseal, as_json=as_json)


def _display_name(file: str) -> str:
    return "standard input" if file == STANDARD_INPUT else file


def _read_key_beside(name: str, base: Path) -> Any:
    if name == STANDARD_INPUT:
        raise InputError("api_key_file must be the path of a file.")
    return read_key(name, base)


def _change_from_options(
    url: str | None,
    user: str | None,
    api_key_file: str | None,
    api_key_ref: str | None,
    interval_seconds: int | None,
    backfill_days: int | None,
    key_expires: str | None,
    gateway: bool | None,
) -> OrganizationChange:
    """What was said, in normal form; the key last, since it may come from standard input."""
    change = OrganizationChange(
        url=None if url is None else validate_url(url),
        user=None if user is None else validate_user(user),
        gateway=gateway,
        interval_seconds=None if interval_seconds is None else validate_interval(interval_seconds),
        backfill_days=None if backfill_days is None else validate_backfill(backfill_days),
        expires=None if key_expires is None else validate_expiry(key_expires),
    )
    return replace(change, key=key_from_options(api_key_file, api_key_ref))


async def _with_operator(state: CommandContext, work: Any, *arguments: Any, **options: Any) -> Any:
    async with open_operator_context(state) as operator:
        return await work(operator, *arguments, **options)


async def _read_views(connection: Connection, keys: Sequence[str]) -> list[OrganizationView]:
    organizations_by_name = await read_organizations(connection)
    return build_views(organizations_by_name, await read_organization_statuses(connection), now_ms(), keys)


def _print_each(
    state: CommandContext,
    work: Callable[[OperatorContext], AsyncIterator[ChangeResult | ChangeFailure]],
    *,
    as_json: bool,
) -> None:
    async def run_all() -> bool:
        async with open_operator_context(state) as operator:
            return await print_results(work(operator), as_json=as_json)

    if not state.run_quietly(run_all()):
        raise typer.Exit(1)

"""`jira-relay organizations`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from cli.commands.organization_files import apply_command, export_command, print_each
from cli.commands.organization_history import history_command
from cli.context import CommandContext, current_operator
from cli.input import ask_for_key
from cli.operator_context import open_operator_context
from cli.organization_options import (
    BackfillOption,
    ExpiresOption,
    GatewayOption,
    IntervalOption,
    KeyFileOption,
    KeyReferenceOption,
    NameArgument,
    TestOption,
    change_from_options,
)
from cli.organization_table import (
    STATE_COLUMN,
    TITLES,
    WIDE_TITLES,
    StateName,
    organization_facts,
    summary,
    table_row,
    wide_row,
)
from cli.output import JsonOption, escape_controls, print_facts, print_json, print_wrapped, terminal_width
from cli.results import print_result
from cli.table import WideOption, list_names, print_rows, print_table
from management.organizations import commands, key_rotation
from management.organizations.backfill import BackfillProgress, read_backfill
from management.organizations.store import read_organizations, require_existing
from management.organizations.validation import InputError, OrganizationChange
from management.organizations.view import OrganizationView, build_views, read_organization_statuses
from relay.kafka.connection import Connection
from relay.timestamps import now_ms

app = typer.Typer(no_args_is_help=True)
app.command("apply")(apply_command)
app.command("export")(export_command)
app.command("history")(history_command)


@app.command("list")
def list_organizations(
    context: typer.Context,
    only: Annotated[
        StateName | None, typer.Option("--state", help="Show the organizations in this state alone.")
    ] = None,
    wide: WideOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the organizations, those that need an operator first, each with its state and the reason for it.

    Where standard output is no terminal, each organization is one line, sorted by name, with all columns and full times.
    """
    state: CommandContext = context.obj
    views: list[OrganizationView] = state.run_quietly(_read_views(state.connection(), state.key_ids()))
    shown = [view for view in views if only is None or view.state_word == only.replace("-", " ")]
    if as_json:
        print_json([view.document() for view in shown])
        return
    _print_list(shown, len(views), wide=wide)
    older = [view.organization.name for view in views if view.sealed_with_first_key is False]
    if older:
        print_wrapped(
            f"Not sealed with the first key: {list_names(older)}. Run `jira-relay organizations reseal`."
        )


def _print_list(views: Sequence[OrganizationView], total: int, *, wide: bool) -> None:
    width = terminal_width()
    if not total:
        print("No organization has been added yet; see `jira-relay organizations add --help`.")
        return
    if width is None:
        if views:
            print_rows(WIDE_TITLES, [wide_row(view) for view in views])
        return
    urgent_first = sorted(views, key=lambda view: view.urgency)
    if views and wide:
        print_rows(WIDE_TITLES, [wide_row(view) for view in urgent_first])
    elif views:
        print_table(
            TITLES, list(map(table_row, urgent_first)), "organization", numbered=STATE_COLUMN, width=width
        )
    print_wrapped(f"\n{summary(views, total)}")


@app.command()
def show(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show one organization: all its fields except the API key, and how far its backfill has come."""
    state: CommandContext = context.obj
    views: list[OrganizationView] = state.run_quietly(_read_views(state.connection(), state.key_ids()))
    views_by_name = {view.organization.name: view for view in views}
    organization = require_existing(views_by_name[name].organization if name in views_by_name else None, name)
    backfill: BackfillProgress = state.run_quietly(read_backfill(state.connection(), organization))
    if as_json:
        print_json(views_by_name[name].document() | {"backfill": backfill.document()})
        return
    print_facts(organization_facts(views_by_name[name], backfill.describe()))


@app.command()
def add(
    context: typer.Context,
    url: Annotated[
        str,
        typer.Option(help="URL of the Jira site, such as https://acme.atlassian.net.", show_default=False),
    ],
    user: Annotated[
        str, typer.Option(help="E-mail address of the account that has the API key.", show_default=False)
    ],
    api_key_file: KeyFileOption = None,
    api_key_ref: KeyReferenceOption = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the organization. Default: the host of the URL.")
    ] = None,
    interval_seconds: IntervalOption = None,
    backfill_days: BackfillOption = None,
    key_expires: ExpiresOption = None,
    gateway: GatewayOption = None,
    test: TestOption = True,
    as_json: JsonOption = False,
) -> None:
    """Add an organization, after a connection test. Without an option for the API key, a terminal is asked for it."""
    state: CommandContext = context.obj
    change = change_from_options(
        url, user, api_key_file, api_key_ref, interval_seconds, backfill_days, key_expires, gateway
    )
    if change.key is None:
        change = replace(change, key=ask_for_key())
    print_result(
        state.run_quietly(_with_operator(state, commands.add, change, name, test=test)), as_json=as_json
    )


@app.command()
def modify(
    context: typer.Context,
    name: NameArgument,
    url: Annotated[str | None, typer.Option(help="New URL of the same Jira site.")] = None,
    user: Annotated[str | None, typer.Option(help="E-mail address of another account.")] = None,
    api_key_file: KeyFileOption = None,
    api_key_ref: KeyReferenceOption = None,
    interval_seconds: IntervalOption = None,
    backfill_days: BackfillOption = None,
    key_expires: ExpiresOption = None,
    gateway: GatewayOption = None,
    test: TestOption = True,
    as_json: JsonOption = False,
) -> None:
    """Change the given fields of an organization, and keep the others. A new URL or user needs the API key again."""
    state: CommandContext = context.obj
    change = change_from_options(
        url, user, api_key_file, api_key_ref, interval_seconds, backfill_days, key_expires, gateway
    )
    if change == OrganizationChange():
        raise InputError(
            "No change was requested; see `jira-relay organizations modify --help` for the options."
        )
    print_result(
        state.run_quietly(_with_operator(state, commands.modify, name, change, test=test)), as_json=as_json
    )


@app.command("test")
def try_connection(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Test the connection of an organization, as a producer uses it."""
    state: CommandContext = context.obj
    message: str = state.run_quietly(_with_operator(state, commands.test, name))
    if as_json:
        print_json({"name": name, "message": message})
    else:
        print(escape_controls(message))


@app.command()
def pause(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Stop polling an organization. Its progress is kept."""
    state: CommandContext = context.obj
    work = commands.set_state(state.connection(), name, "paused", author=current_operator(), now_ms=now_ms())
    print_result(state.run_quietly(work), as_json=as_json)


@app.command()
def resume(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Poll a paused organization again, from where polling stopped."""
    state: CommandContext = context.obj
    work = commands.set_state(state.connection(), name, "active", author=current_operator(), now_ms=now_ms())
    print_result(state.run_quietly(work), as_json=as_json)


@app.command()
def delete(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Delete an organization at once, without confirmation. Its events and progress are kept."""
    state: CommandContext = context.obj
    work = commands.delete(state.connection(), name, author=current_operator(), now_ms=now_ms())
    print_result(state.run_quietly(work), as_json=as_json)


@app.command()
def reseal(context: typer.Context, as_json: JsonOption = False) -> None:
    """Seal every API key and reference with the first key of secrets, so that older keys can be removed.

    Credentials that the first key seals already are not changed. `jira-relay check` reports when no older key is needed.
    """
    state: CommandContext = context.obj
    print_each(state, key_rotation.reseal, as_json=as_json)


async def _with_operator(state: CommandContext, work: Any, *arguments: Any, **options: Any) -> Any:
    async with open_operator_context(state) as operator:
        return await work(operator, *arguments, **options)


async def _read_views(connection: Connection, keys: Sequence[str]) -> list[OrganizationView]:
    organizations_by_name = await read_organizations(connection)
    return build_views(organizations_by_name, await read_organization_statuses(connection), now_ms(), keys)

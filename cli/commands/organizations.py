from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.context import Context, who
from cli.input import STANDARD_INPUT, given_key, read_key, read_text
from cli.operator_context import opened_means
from cli.organization_view import facts, row
from cli.output import Json, plain, print_facts, print_json, print_table
from cli.results import tell, tell_each
from management.connection_test import Means
from management.organizations import apply_file, commands, key_rotation
from management.organizations.apply_file import Failed, read_entries
from management.organizations.commands import Done
from management.organizations.store import existing, organizations
from management.organizations.validation import (
    LONGEST_INTERVAL_SECONDS,
    MOST_BACKFILL_DAYS,
    InputError,
    Wish,
    checked_backfill,
    checked_expiry,
    checked_interval,
    checked_url,
    checked_user,
)
from management.organizations.view import View, statuses, views
from relay.kafka.connection import Connection
from relay.timestamps import now_ms

app = typer.Typer(help="The Jira organizations that are followed.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As `organizations list` shows it.", show_default=False)]
KeyFile = Annotated[
    str | None,
    typer.Option(
        "--api-key-file", metavar="FILE", help="The file that holds the API key; - is standard input."
    ),
]
KeyReference = Annotated[
    str | None,
    typer.Option(
        "--api-key-ref",
        metavar="REF",
        help="Where producers find the API key: env:RELAY_KEY_… or file:NAME (in secrets.directory).",
    ),
]
Interval = Annotated[
    int | None,
    typer.Option(
        metavar="SECONDS",
        help=f"Time between two rounds, 1 to {LONGEST_INTERVAL_SECONDS}; 0: as set for the producer.",
    ),
]
Backfill = Annotated[
    int | None,
    typer.Option(
        metavar="DAYS",
        help=f"Days of history before it was added, 0 to {MOST_BACKFILL_DAYS}.",
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="The day on which the API key expires (2026-12-31), or `never`."),
]
Test = Annotated[
    bool,
    typer.Option(
        "--test/--no-test",
        help="Try the connection first. Without: for a machine that cannot reach Jira, or a Jira that is down; what is live then"
        " begins by the clock of this machine, not by Jira's: see that it is right.",
    ),
]
Gateway = Annotated[
    bool | None,
    typer.Option(
        "--gateway/--no-gateway",
        help="Whether the API key has scopes, and goes through Atlassian's gateway. A test finds that out by itself.",
    ),
]


@app.command("list")
def list_organizations(context: typer.Context, as_json: Json = False) -> None:
    """Show every organization, with its state in words."""
    state: Context = context.obj
    found: list[View] = state.ask(_views(state.connection(), state.key_ids()))
    if as_json:
        print_json([view.document() for view in found])
    elif not found:
        print("No organization is followed yet: see `jira-relay organizations add --help`.")
    else:
        titles = ("Name", "URL", "Last event", "Complete up to", "Key expires", "State")
        print_table(titles, [row(view) for view in found])
    older = [view.organization.name for view in found if view.first_key is False]
    if older and not as_json:
        print(
            f"Not sealed with the first key: {plain(', '.join(older))}. See `jira-relay organizations reseal --help`."
        )


@app.command()
def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show all that is known of one organization, but its key."""
    state: Context = context.obj
    found: list[View] = state.ask(_views(state.connection(), state.key_ids()))
    standing = {view.organization.name: view for view in found}
    existing(standing[name].organization if name in standing else None, name)
    if as_json:
        print_json(standing[name].document())
    else:
        print_facts(facts(standing[name]))


@app.command()
def add(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(help="Of the Jira site, such as https://acme.atlassian.net.", show_default=False)
    ],
    user: Annotated[
        str, typer.Option(help="The e-mail address of the account that has the API key.", show_default=False)
    ],
    api_key_file: KeyFile = None,
    api_key_ref: KeyReference = None,
    name: Annotated[str | None, typer.Option(help="Default: the host of the URL.")] = None,
    interval_seconds: Interval = None,
    backfill_days: Backfill = None,
    key_expires: Expires = None,
    gateway: Gateway = None,
    test: Test = True,
    as_json: Json = False,
) -> None:
    """Follow one more organization, after its connection was tested."""
    state: Context = context.obj
    wish = _wish(url, user, api_key_file, api_key_ref, interval_seconds, backfill_days, key_expires, gateway)
    if wish.key is None:
        raise InputError("Give the API key: --api-key-file FILE (- is standard input), or --api-key-ref REF.")
    tell(state.ask(_with_means(state, commands.add, wish, name, test=test)), as_json=as_json)


@app.command()
def modify(
    context: typer.Context,
    name: Name,
    url: Annotated[str | None, typer.Option(help="The site's new URL; it must be the same site.")] = None,
    user: Annotated[str | None, typer.Option(help="Another account.")] = None,
    api_key_file: KeyFile = None,
    api_key_ref: KeyReference = None,
    interval_seconds: Interval = None,
    backfill_days: Backfill = None,
    key_expires: Expires = None,
    gateway: Gateway = None,
    test: Test = True,
    as_json: Json = False,
) -> None:
    """Change what is given, and keep the rest. Another URL or user needs the API key again."""
    state: Context = context.obj
    wish = _wish(url, user, api_key_file, api_key_ref, interval_seconds, backfill_days, key_expires, gateway)
    if wish == Wish():
        raise InputError("Nothing is to be changed: say what, see `jira-relay organizations modify --help`.")
    tell(state.ask(_with_means(state, commands.modify, name, wish, test=test)), as_json=as_json)


@app.command("test")
def try_connection(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Try the connection of an organization, as a producer would."""
    state: Context = context.obj
    found: str = state.ask(_with_means(state, commands.test, name))
    if as_json:
        print_json({"name": name, "message": found})
    else:
        print(plain(found))


@app.command()
def pause(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Stop polling an organization; its place is kept."""
    state: Context = context.obj
    work = commands.set_state(state.connection(), name, "paused", who=who(), now_ms=now_ms())
    tell(state.ask(work), as_json=as_json)


@app.command()
def resume(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Poll a paused organization again, from where it stood."""
    state: Context = context.obj
    work = commands.set_state(state.connection(), name, "active", who=who(), now_ms=now_ms())
    tell(state.ask(work), as_json=as_json)


@app.command()
def delete(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Stop following an organization, at once and without a question. Its events and its progress are kept."""
    state: Context = context.obj
    work = commands.delete(state.connection(), name, who=who(), now_ms=now_ms())
    tell(state.ask(work), as_json=as_json)


@app.command()
def apply(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="TOML ([[organizations]]) or JSON (a list); - is standard input.")
    ],
    test: Test = True,
    as_json: Json = False,
) -> None:
    """Add and modify organizations until all is as a file says; again, nothing changes. Those it does not name are left alone.

    Members: url, user, api_key_file (found from the file's directory) or api_key_ref, name, interval_seconds,
    backfill_days, key_expires, gateway, state (active or paused).
    """
    state: Context = context.obj
    base = Path() if file == STANDARD_INPUT else Path(file).expanduser().parent
    entries = read_entries(read_text(file), _shown(file), lambda name: _key_beside(name, base))
    _tell_each(state, lambda means: apply_file.apply(means, entries, test=test), as_json=as_json)


@app.command()
def reseal(context: typer.Context, as_json: Json = False) -> None:
    """Encrypt every API key anew with the first key of secrets, and bind every reference anew, so that older keys can go.

    What is sealed with the first key already is left alone. `jira-relay check` tells when no older key is needed any more.
    """
    state: Context = context.obj
    _tell_each(state, key_rotation.reseal, as_json=as_json)


def _shown(file: str) -> str:
    return "standard input" if file == STANDARD_INPUT else file


def _key_beside(name: str, base: Path) -> Any:
    if name == STANDARD_INPUT:
        raise InputError("api_key_file must be the path of a file.")
    return read_key(name, base)


def _wish(
    url: str | None,
    user: str | None,
    api_key_file: str | None,
    api_key_ref: str | None,
    interval_seconds: int | None,
    backfill_days: int | None,
    key_expires: str | None,
    gateway: bool | None,
) -> Wish:
    """What was said, in normal form; the key last, since it may come from standard input."""
    wish = Wish(
        url=None if url is None else checked_url(url),
        user=None if user is None else checked_user(user),
        gateway=gateway,
        interval_seconds=None if interval_seconds is None else checked_interval(interval_seconds),
        backfill_days=None if backfill_days is None else checked_backfill(backfill_days),
        expires=None if key_expires is None else checked_expiry(key_expires),
    )
    return replace(wish, key=given_key(api_key_file, api_key_ref))


async def _with_means(state: Context, work: Any, *arguments: Any, **options: Any) -> Any:
    async with opened_means(state) as means:
        return await work(means, *arguments, **options)


async def _views(connection: Connection, keys: Sequence[str]) -> list[View]:
    found = await organizations(connection)
    return views(found, await statuses(connection), now_ms(), keys)


def _tell_each(
    state: Context, work: Callable[[Means], AsyncIterator[Done | Failed]], *, as_json: bool
) -> None:
    async def done() -> bool:
        async with opened_means(state) as means:
            return await tell_each(work(means), as_json=as_json)

    if not state.ask(done()):
        raise typer.Exit(1)

"""`jira-relay api-token`: a token of a script for the API of the console."""

from typing import Annotated, Literal

import typer

from cli.context import CommandContext
from cli.output import JsonOption, print_json
from console.api_tokens import ApiToken, add_to_file, is_name, make_token
from console.permissions import AccessRole
from management.organizations.validation import InputError
from relay.timestamps import now_ms

MAX_DAYS = 3_650


def api_token_command(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the token; the history of changes shows it.")],
    role: Annotated[
        Literal["viewer", "operator"], typer.Option(help="A viewer reads; an operator changes too.")
    ] = "viewer",
    days: Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="Days until the token expires.")] = 90,
    as_json: JsonOption = False,
) -> None:
    """The file of console.api_tokens gets its name, role, expiry and hash. Without that setting, the table for it is printed."""
    if not is_name(name):
        raise InputError("The name of a token has at most 60 letters, digits, hyphens and underscores.")
    state: CommandContext = context.obj
    token, entry = make_token(name, AccessRole.of(role), now_ms(), days)
    file = state.settings.console.api_tokens
    if file is not None:
        add_to_file(file, entry)
    if as_json:
        print_json({"name": name, "role": role, "expires": entry.expires.isoformat(), "token": token})
        return
    print(token)
    typer.echo(_remark(entry, None if file is None else str(file)), err=True)


def _remark(entry: ApiToken, file: str | None) -> str:
    kept = "Keep the token: it is not shown again."
    if file is not None:
        return f"{kept} {file} accepts it until {entry.expires.isoformat()}; to end it, delete [{entry.name}] there."
    return f"{kept} Add this table to a file, and set console.api_tokens to it:\n\n{entry.to_toml()}"

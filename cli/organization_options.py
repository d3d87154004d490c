"""The options that `organizations add` and `organizations modify` share, and the change that they request."""

from dataclasses import replace
from typing import Annotated

import typer

from cli.input import key_from_options
from management.organizations.validation import (
    MAX_INTERVAL_SECONDS,
    OrganizationChange,
    validate_backfill,
    validate_expiry,
    validate_interval,
    validate_url,
    validate_user,
)
from producer.sources.catalogue import input_rules

_RULES = input_rules()

NameArgument = Annotated[
    str, typer.Argument(help="Name, as `organizations list` shows it.", show_default=False)
]
KeyFileOption = Annotated[
    str | None,
    typer.Option(
        "--api-key-file",
        metavar="FILE",
        help="File that holds the API key; - is standard input. A relative path starts at the working directory.",
    ),
]
KeyReferenceOption = Annotated[
    str | None,
    typer.Option(
        "--api-key-ref",
        metavar="REF",
        help="Reference to the API key on the producers: env:RELAY_KEY_…, file:NAME (in secrets.directory), or a secret in a store, such as azure-key-vault:VAULT/SECRET.",
    ),
]
IntervalOption = Annotated[
    int | None,
    typer.Option(
        metavar="SECONDS",
        help=f"Time between two polls, 1 to {MAX_INTERVAL_SECONDS}; 0: producer.interval_seconds.",
    ),
]
BackfillOption = Annotated[
    int | None,
    typer.Option(
        metavar="DAYS",
        help=f"Days of backfill before the organization was added, 0 to {_RULES.max_backfill_days}.",
    ),
]
ExpiresOption = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Day on which the API key expires (2026-12-31), or `never`."),
]
TestOption = Annotated[
    bool,
    typer.Option(
        "--test/--no-test",
        help="Test the connection first. Use --no-test when this machine cannot reach Jira. Live records then begin at the time"
        " of this machine's clock instead of Jira's, so check that it is right.",
    ),
]
GatewayOption = Annotated[
    bool | None,
    typer.Option(
        "--gateway/--no-gateway",
        help="Whether the API key has scopes, which need Atlassian's gateway. A connection test finds it out by itself.",
    ),
]


def change_from_options(
    url: str | None,
    user: str | None,
    api_key_file: str | None,
    api_key_ref: str | None,
    interval_seconds: int | None,
    backfill_days: int | None,
    key_expires: str | None,
    gateway: bool | None,
) -> OrganizationChange:
    """Return the requested change. The key is read last, so that wrong options do not wait for standard input."""
    change = OrganizationChange(
        url=None if url is None else validate_url(url, _RULES),
        user=None if user is None else validate_user(user, _RULES),
        gateway=gateway,
        interval_seconds=None if interval_seconds is None else validate_interval(interval_seconds),
        backfill_days=None if backfill_days is None else validate_backfill(backfill_days, _RULES),
        expires=None if key_expires is None else validate_expiry(key_expires),
    )
    return replace(change, key=key_from_options(api_key_file, api_key_ref))

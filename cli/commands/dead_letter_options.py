"""Options that select dead letters."""

from typing import Annotated

import typer

from management.organizations.validation import InputError, validate_name
from management.times import parse_time
from relay.dead_letters.closings import LetterState
from relay.dead_letters.selection import LetterSelection

DestinationOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Only the dead letters of events that this destination refused."),
]
ReasonOption = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Only those whose reason contains this text, in letters of any case."),
]
OrganizationOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Only those of this organization. May be repeated.")
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Only those written at this time or later: 2026-11-25T08:00Z, 2026-11-25 (UTC).",
    ),
]
ToOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only those written before this time.")]


def letter_selection(
    destination: str | None,
    reason: str | None,
    organization: list[str] | None,
    from_: str | None,
    to: str | None,
    state: LetterState | None,
) -> LetterSelection:
    """Return what the options mean. Raises InputError."""
    from_ms = None if from_ is None else parse_time(from_)
    to_ms = None if to is None else parse_time(to)
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise InputError("--from must be before --to.")
    names = frozenset(map(validate_name, organization or ()))
    return LetterSelection(destination, reason, names, from_ms, to_ms, state)

"""`jira-relay dead-letters`."""

import json
from typing import Annotated

import typer

from cli.commands.dead_letter_options import (
    DestinationOption,
    FromOption,
    OrganizationOption,
    ReasonOption,
    ToOption,
    letter_selection,
)
from cli.commands.dead_letter_redrive import redrive
from cli.context import CommandContext
from cli.dead_letter_output import (
    print_dead_letter,
    print_groups,
    print_letters,
    print_raw,
    summary_line,
)
from cli.output import JsonOption, print_error, print_json, print_wrapped, terminal_width
from cli.table import WideOption
from management.dead_letter_documents import content_document, group_document, letters_document
from management.dead_letter_export import export_letters
from management.dead_letter_list import LetterListing, list_letters
from management.dead_letter_words import describe_letter
from management.dead_letters import DeadLetterContent, parse_address, read_dead_letter, read_story
from management.organizations.validation import InputError
from relay.dead_letters.closings import LetterState
from relay.dead_letters.selection import LetterSelection
from relay.timestamps import now_ms

app = typer.Typer(no_args_is_help=True)
app.command()(redrive)

OpenOption = Annotated[bool, typer.Option("--open", help="Only those that were not redriven.")]
RedrivenOption = Annotated[
    bool, typer.Option("--redriven", help="Only those that were redriven and accepted.")
]


@app.command("list")
def list_dead_letters(
    context: typer.Context,
    destination: DestinationOption = None,
    reason: ReasonOption = None,
    organization: OrganizationOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    only_open: OpenOption = False,
    only_redriven: RedrivenOption = False,
    counts: Annotated[
        bool, typer.Option("--counts", help="Show only the numbers by destination and reason.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of dead letters, newest first.")] = 50,
    wide: WideOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the newest dead letters, each with the reason; before them, the numbers of all by destination and reason.

    Where standard output is no terminal, each dead letter is one line, with all columns and full times, and `--counts` shows
    the numbers.
    """
    state: CommandContext = context.obj
    letter_state = _state(only_open=only_open, only_redriven=only_redriven)
    selection = letter_selection(destination, reason, organization, from_, to, letter_state)
    listing: LetterListing = state.run_quietly(list_letters(state.connection(), selection, limit))
    for text in listing.unreadable:
        print_error(text)
    if as_json:
        print_json(list(map(group_document, listing.groups)) if counts else letters_document(listing.newest))
    elif not listing.count:
        print(
            "There are no dead letters."
            if selection == LetterSelection()
            else "There are no such dead letters."
        )
    else:
        _print_listing(listing, counts=counts, wide=wide)


def _print_listing(listing: LetterListing, *, counts: bool, wide: bool) -> None:
    terminal = terminal_width()
    width, now = None if wide else terminal, now_ms()
    if counts or terminal is not None:
        print_groups(listing.groups, now, width)
    if counts:
        return
    if terminal is not None:
        print_wrapped(f"\n{summary_line(listing)}")
        print()
    print_letters(listing.newest, now, width)


@app.command()
def show(
    context: typer.Context,
    address: Annotated[
        str, typer.Argument(metavar="PARTITION/OFFSET", help="Address, as `dead-letters list` shows it.")
    ],
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Print only the original bytes (on a terminal: hexadecimal, unless they are text).",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: what was wrong, since when, what to do, and its content.

    A record of the relay (Avro) is shown as JSON if its schema is known, and other bytes as text or in hexadecimal.
    """
    state: CommandContext = context.obj
    registry = None if raw else state.settings.schema_registry
    found: DeadLetterContent = state.run_quietly(
        read_dead_letter(state.connection(), *parse_address(address), registry)
    )
    if raw:
        print_raw(found.content)
        return
    story = state.run_quietly(read_story(state.connection(), found.dead_letter))
    explanation = describe_letter(found, story, state.settings.destinations)
    if as_json:
        print_json(content_document(found) | {"explanation": explanation})
    else:
        print_dead_letter(found, explanation)


@app.command()
def export(
    context: typer.Context,
    destination: DestinationOption = None,
    reason: ReasonOption = None,
    organization: OrganizationOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    only_open: OpenOption = False,
    only_redriven: RedrivenOption = False,
) -> None:
    """Write dead letters to standard output as JSON lines: headers, state, and the decoded event or the bytes in base64."""
    state: CommandContext = context.obj
    letter_state = _state(only_open=only_open, only_redriven=only_redriven)
    selection = letter_selection(destination, reason, organization, from_, to, letter_state)

    async def write_lines() -> None:
        registry = state.settings.schema_registry
        async for document in export_letters(state.connection(), selection, registry, print_error):
            print(json.dumps(document))

    state.run_quietly(write_lines())


def _state(*, only_open: bool, only_redriven: bool) -> LetterState | None:
    if only_open and only_redriven:
        raise InputError("Give --open or --redriven, not both.")
    return "open" if only_open else "redriven" if only_redriven else None

"""`jira-relay destinations lost` and `dismiss`."""

from typing import Annotated

import typer

from cli.commands.destination_offsets import DestinationArgument
from cli.context import CommandContext, current_operator
from cli.output import JsonOption, print_error, print_json, print_wrapped
from management.lost_ranges import LostRanges, dismiss, lost_range_document, lost_range_text, read_lost_ranges
from relay.timestamps import now_ms

EntryArgument = Annotated[
    str,
    typer.Argument(metavar="ENTRY", help="The lost range, as `destinations lost` names it: events/3/1200."),
]


def lost(context: typer.Context, name: DestinationArgument, as_json: JsonOption = False) -> None:
    """List the events that Kafka deleted before the destination accepted them, each range with the command that brings it back."""
    state: CommandContext = context.obj
    work = read_lost_ranges(state.connection(), state.settings.destinations, name, now_ms())
    found: LostRanges = state.run_quietly(work)
    if as_json:
        print_json(
            [
                lost_range_document(each, remedy)
                for each, remedy in zip(found.ranges, found.remedies, strict=True)
            ]
        )
    else:
        _print(name, found)
    if found.unreadable:
        print_error(
            f"{len(found.unreadable)} lost ranges of {name} cannot be read, since a newer release wrote them: {found.unreadable[0]}."
        )
        raise typer.Exit(1)


def dismiss_lost(
    context: typer.Context, name: DestinationArgument, entry: EntryArgument, as_json: JsonOption = False
) -> None:
    """Take a lost range off the list, and out of the status: it was refilled, or its events are given up."""
    state: CommandContext = context.obj
    work = dismiss(state.connection(), state.settings.destinations, name, entry, current_operator(), now_ms())
    found, failure = state.run_quietly(work)
    if as_json:
        print_json({"destination": name, "dismissed": found.name})
    else:
        print_wrapped(f"{found.name} of {name} is dismissed. The status follows within a minute.")
    if failure is not None:
        print_error(failure)
        raise typer.Exit(1)


def _print(name: str, found: LostRanges) -> None:
    if not found.ranges and not found.unreadable:
        print_wrapped(
            f"{name} has no lost range: Kafka deleted no event before its delivery that is not refilled or dismissed."
        )
    for each, remedy in zip(found.ranges, found.remedies, strict=True):
        print_wrapped(f"{lost_range_text(each)} {remedy}")

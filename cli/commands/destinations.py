"""`jira-relay destinations`."""

from collections.abc import Mapping

import typer

from cli.commands.destination_offsets import DestinationArgument, offsets, rewind, skip
from cli.commands.lost_ranges import dismiss_lost, lost
from cli.context import CommandContext, current_operator
from cli.output import JsonOption, escape_controls, print_error, print_json, print_wrapped, terminal_width
from cli.table import TableRow, WideOption, print_rows, print_table
from consumer.destinations.contract import Flow
from management.destination_view import DestinationView, lag_text
from management.destinations import (
    Confirmation,
    PauseResult,
    confirm_target,
    read_destinations,
    set_paused,
)
from management.formatting import age, iso_seconds
from relay.timestamps import now_ms

app = typer.Typer(no_args_is_help=True)
app.command()(offsets)
app.command()(rewind)
app.command()(skip)
app.command()(lost)
app.command("dismiss")(dismiss_lost)

_TITLES = ("name", "kind", "state", "since", "lag")


@app.callback()
def destinations() -> None:
    """Show, pause and resume destinations, and move their offsets."""


@app.command("list")
def list_destinations(context: typer.Context, wide: WideOption = False, as_json: JsonOption = False) -> None:
    """List the destinations of these settings, each with its state, the reason for it, and the events not delivered yet."""
    state: CommandContext = context.obj
    work = read_destinations(state.connection(), state.settings.destinations, now_ms())
    views: list[DestinationView] = state.run_quietly(work)
    if as_json:
        print_json([view.document() for view in views])
        return
    if not views:
        print("The settings have no destination; write a table [destinations.NAME].")
        return
    width = terminal_width()
    if wide or width is None:
        print_rows((*_TITLES, "reason"), [_wide_row(view) for view in views])
    else:
        print_table(_TITLES, [_row(view) for view in views], "destination", numbered=2, width=width)


@app.command()
def pause(context: typer.Context, name: DestinationArgument, as_json: JsonOption = False) -> None:
    """Stop delivery to a destination, in all consumers. Its offsets are kept, and its events wait in Kafka."""
    _set_paused(context.obj, name, paused=True, as_json=as_json)


@app.command()
def resume(context: typer.Context, name: DestinationArgument, as_json: JsonOption = False) -> None:
    """Deliver to a paused destination again, from where it stopped or was moved to."""
    _set_paused(context.obj, name, paused=False, as_json=as_json)


def _set_paused(state: CommandContext, name: str, *, paused: bool, as_json: bool) -> None:
    work = set_paused(
        state.connection(), state.settings.destinations, name, current_operator(), now_ms(), paused=paused
    )
    result: PauseResult = state.run_quietly(work)
    if as_json:
        print_json(
            {"destination": name, "state": "paused" if paused else "running", "changed": result.changed}
        )
    elif not result.changed:
        print_wrapped(f"{name} is {'paused' if paused else 'running'} already.")
    elif paused:
        print_wrapped(
            f"{name} is paused. Its consumers stop within a minute; events that wait longer than Kafka keeps them are lost. Run"
            f" `jira-relay destinations resume {name}` to go on."
        )
    else:
        print_wrapped(f"{name} is resumed. Its consumers go on within a minute.")
    if result.failure is not None:
        print_error(result.failure)
        raise typer.Exit(1)


def _row(view: DestinationView) -> TableRow:
    cells = (view.name, view.kind, view.state, age(view.since, view.now_ms), lag_text(view))
    return TableRow(cells, view.reason)


def _wide_row(view: DestinationView) -> tuple[str, ...]:
    since = "" if view.since is None else iso_seconds(view.since)
    return (view.name, view.kind, view.state, since, "" if view.lag is None else str(view.lag), view.reason)


@app.command()
def confirm(
    context: typer.Context,
    name: DestinationArgument,
    as_json: JsonOption = False,
) -> None:
    """Confirm that a destination's events go to the target of these settings from now on.

    Consumers with another target under this name pause within seconds; those with these settings go on where they were.
    """
    state: CommandContext = context.obj
    done = state.run_quietly(confirm_target(state.connection(), state.settings.destinations, name))
    if as_json:
        print_json(_as_json(name, done))
        return
    for flow, each in done.items():
        subject = name if flow == "live" else f"The history of {name}"
        print(escape_controls(f"{subject} belongs to {each.target.address} now."))
        if each.before and each.before.digest != each.target.digest:
            print(
                escape_controls(
                    f"  Before: {each.before.address}. Events not delivered there go to the new target."
                )
            )


def _as_json(name: str, done: Mapping[Flow, Confirmation]) -> dict[str, object]:
    shown: dict[str, object] = {"destination": name}
    for flow, each in done.items():
        prefix = "" if flow == "live" else f"{flow}_"
        shown[f"{prefix}target"] = each.target.address
        shown[f"{prefix}before"] = each.before.address if each.before else None
    return shown

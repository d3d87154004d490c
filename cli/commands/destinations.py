"""`jira-relay destinations`."""

from collections.abc import Mapping
from typing import Annotated

import typer

from cli.context import CommandContext
from cli.output import JsonOption, escape_controls, print_json
from consumer.destinations.contract import Flow
from management.destinations import Confirmation, confirm_target

app = typer.Typer(help="Decide whose target a destination is.", no_args_is_help=True)


@app.callback()
def destinations() -> None:
    """Decide whose target a destination is."""


@app.command()
def confirm(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the destination in the settings.")],
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

"""`jira-relay consume`: the consumer, in one process or in several."""

import socket
from typing import Annotated

import typer

from cli.commands.run import run_alone, run_as_child
from cli.consumer_processes import (
    file_read_once,
    note_fewer_processes,
    process_count,
    share_of,
    start_children,
)
from cli.context import CommandContext, run
from cli.process_context import ProcessContext
from consumer.destinations.catalogue import DESTINATIONS
from management.settings import Settings
from relay.errors import SettingsError
from relay.freed_memory import keep_freed_memory
from relay.lifecycle import Service


def consume_command(
    context: typer.Context,
    destination: Annotated[
        list[str] | None,
        typer.Option(help="Name of a destination in the settings; may be repeated. Default: all."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            help="Processes; each uses one core. Default: the setting consumer.processes.", min=1, max=64
        ),
    ] = None,
    child: Annotated[tuple[int, int, int] | None, typer.Option(hidden=True)] = None,
) -> None:
    state: CommandContext = context.obj
    names = _selected_destinations(state.settings, destination)
    settings, connection = state.settings, state.external_connection()
    served = {name: settings.destinations[name] for name in names}
    wanted = processes or settings.consumer.processes
    children = []
    if child is not None:
        number, count, link = child
    else:
        number, count = 1, process_count(wanted, served.values(), file_read_once(settings, state.config))
        children = start_children(count, state.config, names)
    settings = share_of(settings, number, count)
    keep_freed_memory()
    # Opens polars and the clients of the destinations, which a wrong setting needs not, and a child loads at the same time.
    from cli.consumer_service import consumer_service  # noqa: PLC0415

    def services(process: ProcessContext) -> dict[str, Service]:
        if child is None:
            note_fewer_processes(wanted, count, served)
        return consumer_service(process, names)

    if child is None:
        run(run_alone(settings, connection, services, children))
    else:
        run(run_as_child(settings, connection, services, number, socket.socket(fileno=link)))


def _selected_destinations(settings: Settings, requested: list[str] | None) -> list[str]:
    if not settings.destinations:
        raise SettingsError(
            "No destination is set. Write a table [destinations.NAME] with the settings of its kind"
            f" ({', '.join(DESTINATIONS)}); docs/settings.md lists them."
        )
    for name in requested or []:
        if name not in settings.destinations:
            raise SettingsError(
                f"The destination {name} is not in the settings; use one of: {', '.join(sorted(settings.destinations))}."
            )
    return requested or sorted(settings.destinations)

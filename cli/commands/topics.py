"""`jira-relay topics`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.context import CommandContext, connection_from
from cli.output import JsonOption, escape_controls, print_json
from management.settings import read_given
from management.topic_copy import copy_topics
from relay.config.names import VARIABLE_PREFIX
from relay.errors import RelayError, SettingsError
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import compare_topics, create_missing_topics
from relay.kafka.topic_comparison import TopicReport
from relay.timestamps import DAY_MS, now_ms

app = typer.Typer(no_args_is_help=True)


@app.command("create")
def create_topics(context: typer.Context, as_json: JsonOption = False) -> None:
    """Create the missing topics, and report the wrong settings of existing ones, which are never altered."""
    state: CommandContext = context.obj
    creation = create_missing_topics(state.connection(), _reread_ms(state))
    _print_reports(state.run_quietly(creation), as_json=as_json)


@app.command("check")
def check_topics(context: typer.Context, as_json: JsonOption = False) -> None:
    """Compare the topics with the settings that they need. Nothing is changed."""
    state: CommandContext = context.obj
    comparison = compare_topics(state.connection(), _reread_ms(state))
    _print_reports(state.run_quietly(comparison), as_json=as_json)


@app.command("copy")
def copy_topics_of_the_relay(
    context: typer.Context,
    to: Annotated[
        Path,
        typer.Option(
            help="Settings file of the other Kafka: its [kafka] section. Variables of the environment do not count for it."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Copy every topic to another Kafka, such as from the embedded one to a cluster, and compare each copy.

    Stop all services first. The other Kafka must have no record of the relay. The embedded Kafka is started for the copy.
    """
    state: CommandContext = context.obj
    # The settings of the relay are in the file alone; a reference to a store needs the variables of the store (AWS_…, GOOGLE_…).
    other, _ = read_given(
        to, {name: value for name, value in os.environ.items() if not name.startswith(VARIABLE_PREFIX)}
    )
    if other.kafka.bootstrap is None:
        raise SettingsError(f"{to}: set kafka.bootstrap, the address of the Kafka to copy to.")
    target = Connection(other.kafka, patience=state.patience)
    state.run_quietly(_copy(state, target, as_json=as_json))


async def _copy(state: CommandContext, target: Connection, *, as_json: bool) -> None:
    copies = []
    async with _source(state) as source:
        async for copy in copy_topics(source, target, _reread_ms(state), now_ms()):
            copies.append(copy)
            if not as_json:
                expired = f" {copy.expired} are older than its retention there." if copy.expired else ""
                print(
                    f"{copy.topic}: {copy.records} records copied and compared.{expired}"
                    if copy.partitions
                    else f"{copy.topic}: the old Kafka has no such topic; it was created empty."
                )
    if as_json:
        print_json([asdict(copy) for copy in copies])
    else:
        print(
            f"Every topic is at {target.bootstrap}. Start the services with its settings; never start them with the old ones again."
        )


@asynccontextmanager
async def _source(state: CommandContext) -> AsyncIterator[Connection]:
    """Yield the Kafka of the settings; the embedded one is started, and stopped afterwards."""
    if state.settings.kafka.bootstrap is not None:
        yield state.connection()
        return
    from cli.embedded_kafka import running_kafka, settings_with  # noqa: PLC0415 - other commands need no Kafka of their own

    async with running_kafka(state.settings, asyncio.Event()) as kafka:
        if kafka is None:
            raise RelayError("The embedded Kafka was stopped while it started. Run the command again.")
        yield connection_from(settings_with(kafka, state.settings), state.patience)


def _reread_ms(state: CommandContext) -> int:
    return state.settings.producer.late_days * DAY_MS


def _print_reports(reports: list[TopicReport], *, as_json: bool) -> None:
    if as_json:
        print_json([_as_json(report) for report in reports])
    for report in [] if as_json else reports:
        print(f"{report.name}: {report.state}")
        for sentence in (*report.problems, *report.notes):
            print(f"  {escape_controls(sentence)}")
    if any(report.problems for report in reports):
        raise typer.Exit(1)


def _as_json(report: TopicReport) -> dict[str, object]:
    return {
        "topic": report.name,
        "state": report.state,
        "problems": list(report.problems),
        "notes": list(report.notes),
    }

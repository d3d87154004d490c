"""`jira-relay schemas`."""

import typer

from cli.context import CommandContext
from cli.output import JsonOption, escape_controls, print_json
from management.settings import Settings
from relay.kafka.topics import Topics
from relay.schema_registry import register as registration
from relay.schema_registry.client import open_schema_registry
from relay.schema_registry.register import SubjectReport

NO_REGISTRY = (
    "No schema registry is set (schema_registry.url). Events are written in Avro single-object encoding, so no schema needs to"
    " be registered."
)

app = typer.Typer(no_args_is_help=True)


@app.command()
def register(context: typer.Context, as_json: JsonOption = False) -> None:
    """Register the event schema for both event topics. Schemas that are registered already do not change."""
    state: CommandContext = context.obj
    _print_reports(state.run_quietly(_register(state.settings)), as_json=as_json)


@app.command()
def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Compare the registered schemas with the relay's. Nothing is changed."""
    state: CommandContext = context.obj
    _print_reports(state.run_quietly(_check(state.settings)), as_json=as_json)


async def _register(settings: Settings) -> list[SubjectReport]:
    if settings.schema_registry.url is None:
        return []
    async with open_schema_registry(settings.schema_registry) as registry:
        return await registration.register_schemas(registry, Topics(settings.kafka.topic_prefix))


async def _check(settings: Settings) -> list[SubjectReport]:
    if settings.schema_registry.url is None:
        return []
    async with open_schema_registry(settings.schema_registry) as registry:
        return await registration.check_schemas(registry, Topics(settings.kafka.topic_prefix))


def _print_reports(reports: list[SubjectReport], *, as_json: bool) -> None:
    """Print the reports; exit with 1 when there is a problem. No reports: no registry is set."""
    if as_json:
        print_json(
            [{"subject": r.subject, "state": r.state, "id": r.id, "problems": r.problems} for r in reports]
        )
    elif not reports:
        print(NO_REGISTRY)
    else:
        for report in reports:
            print(_report_line(report))
            for problem in report.problems:
                print(f"  {escape_controls(problem)}")
    if any(report.problems for report in reports):
        raise typer.Exit(1)


def _report_line(report: SubjectReport) -> str:
    return f"{report.subject}: {report.state}" + (f" (id {report.id})" if report.id is not None else "")

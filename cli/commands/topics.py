"""`jira-relay topics`."""

import typer

from cli.context import CommandContext
from cli.output import JsonOption, escape_controls, print_json
from relay.kafka.topic_admin import TopicReport, compare_topics, create_missing_topics

app = typer.Typer(help="Create and check the topics of the relay.", no_args_is_help=True)


@app.command("create")
def create_topics(context: typer.Context, as_json: JsonOption = False) -> None:
    """Create the missing topics, and report the wrong settings of existing ones, which are never altered."""
    state: CommandContext = context.obj
    _print_reports(state.run_quietly(create_missing_topics(state.connection())), as_json=as_json)


@app.command("check")
def check_topics(context: typer.Context, as_json: JsonOption = False) -> None:
    """Compare the topics with the settings that they need. Nothing is changed."""
    state: CommandContext = context.obj
    _print_reports(state.run_quietly(compare_topics(state.connection())), as_json=as_json)


def _print_reports(reports: list[TopicReport], *, as_json: bool) -> None:
    if as_json:
        print_json([{"topic": r.name, "state": r.state, "problems": list(r.problems)} for r in reports])
    for report in [] if as_json else reports:
        print(f"{report.name}: {report.state}")
        for problem in report.problems:
            print(f"  {escape_controls(problem)}")
    if any(report.problems for report in reports):
        raise typer.Exit(1)

"""`jira-relay topics`."""

import typer

from cli.context import CommandContext
from cli.output import JsonOption, escape_controls, print_json
from relay.kafka.topic_admin import compare_topics, create_missing_topics
from relay.kafka.topic_comparison import TopicReport
from relay.timestamps import DAY_MS

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

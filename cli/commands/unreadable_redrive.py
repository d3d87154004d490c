"""`jira-relay dead-letters redrive --producer`."""

from typing import Any

import typer

from cli.context import CommandContext, current_operator
from cli.dead_letter_output import print_groups
from cli.operator_context import record_parser
from cli.output import print_error, print_json, print_wrapped, terminal_width
from cli.replay_output import finish
from cli.replay_progress import detached_text, follow_job
from cli.start_question import require_person
from cli.table import print_rows
from management.dead_letter_documents import group_document, skipped_texts
from management.replay.jobs import facts, submit
from management.unreadable_redrive import (
    NOTHING_READABLE,
    UnreadablePlan,
    plan_unreadable_redrive,
    require_no_other_unreadable,
    unreadable_text,
)
from relay.dead_letters.selection import LetterSelection
from relay.timestamps import now_ms

_MAX_ORGANIZATIONS = 10


def redrive_unreadable(
    state: CommandContext,
    selection: LetterSelection,
    *,
    dry_run: bool,
    detach: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Plan, ask, start and follow. Exit code 1, unless the job is done and nothing was lost."""
    work = plan_unreadable_redrive(
        state.connection(), record_parser(), selection, current_operator(), now_ms()
    )
    plan: UnreadablePlan = state.run_quietly(work)
    for text in plan.corrupt:
        print_error(text)
    if not as_json:
        _print_plan(plan)
    if dry_run or plan.job is None:
        if as_json:
            print_json(_document(plan, started=False))
        return
    state.run_quietly(require_no_other_unreadable(state.connection(), plan.job.organizations, now_ms()))
    if not yes:
        require_person("The redrive was not started", as_json=as_json)
        typer.confirm("Start the redrive?", abort=True)
    failure: str | None = state.run_quietly(submit(state.connection(), plan.job))
    if failure is not None:
        print_error(failure)
    _follow(state, plan, detach=detach, as_json=as_json)
    if failure is not None:
        raise typer.Exit(1)


def _follow(state: CommandContext, plan: UnreadablePlan, *, detach: bool, as_json: bool) -> None:
    replay_id = plan.job.id if plan.job else ""
    if not as_json:
        advice = detached_text(replay_id) if detach else "Ctrl-C ends this command, and not the replay."
        print_wrapped(f"The replay {replay_id} of the producers is started. {advice}")
    if not detach:
        finish(follow_job(state, replay_id, quiet=as_json), as_json=as_json)
    elif as_json:
        print_json(_document(plan, started=True))


def _print_plan(plan: UnreadablePlan) -> None:
    if plan.job is not None:
        print_wrapped(unreadable_text(plan))
        print_groups(plan.summary.groups(), now_ms(), terminal_width())
        most = plan.readable.most_common(_MAX_ORGANIZATIONS)
        print_rows(("organization", "readable"), [(name, f"{count:,}") for name, count in most])
        if len(plan.readable) > len(most):
            print(f"and {len(plan.readable) - len(most)} more organizations")
    for text in (*skipped_texts(plan.still), *skipped_texts(plan.left), *plan.notes):
        print_wrapped(text)
    if plan.job is None:
        print_wrapped(NOTHING_READABLE)


def _document(plan: UnreadablePlan, *, started: bool) -> dict[str, Any]:
    return {
        "started": started,
        "replay": None if plan.job is None else facts(plan.job),
        "readable": plan.readable.total(),
        "by_organization": dict(plan.readable),
        "by_reason": list(map(group_document, plan.summary.groups())),
        "still_unreadable": dict(plan.still),
        "left_open": dict(plan.left),
        "notes": list(plan.notes),
    }

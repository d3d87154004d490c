"""`jira-relay dead-letters redrive`."""

from collections import Counter
from collections.abc import Sequence
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
from cli.commands.replay_options import RateOption, ReplayYesOption
from cli.commands.unreadable_redrive import redrive_unreadable
from cli.context import CommandContext, current_operator
from cli.dead_letter_output import print_groups
from cli.output import JsonOption, print_error, print_json, print_wrapped, terminal_width
from cli.replay_progress import detached_text, follow_job
from cli.start_question import require_person, require_typed
from cli.table import print_rows
from management.dead_letter_documents import redrive_document, skipped_texts
from management.dead_letter_redrive import (
    PlannedRedrive,
    RedrivePlan,
    RedriveRequest,
    plan_redrive,
    require_no_other,
)
from management.organizations.validation import InputError
from management.replay.documents import replay_document
from management.replay.jobs import submit
from management.replay.texts import result_text, target_text
from relay.quantities import quantity
from relay.timestamps import now_ms

_MAX_ORGANIZATIONS = 10
_NOT_STARTED = "The redrive was not started"

_ProducerOption = Annotated[
    bool,
    typer.Option(
        "--producer",
        help="Let the producers read again the records that they could not read, and publish those that they can read now.",
    ),
]
_ToLiveOption = Annotated[
    bool,
    typer.Option(
        "--to-live",
        help="Send the events that live refused where new events go: rules may raise alarms on them.",
    ),
]
_DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Count the letters by reason and organization, and send nothing.")
]
_DetachOption = Annotated[bool, typer.Option("--detach", help="Return at once; the redrive runs by itself.")]


def redrive(
    context: typer.Context,
    destination: DestinationOption = None,
    producer: _ProducerOption = False,
    reason: ReasonOption = None,
    organization: OrganizationOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    to_live: _ToLiveOption = False,
    rate: RateOption = None,
    dry_run: _DryRunOption = False,
    detach: _DetachOption = False,
    yes: ReplayYesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deliver the events of open dead letters again to the destinations that refused them, after the cause is mended.

    They go to history, unless --to-live is given. There is one replay for each destination; the command follows it, and Ctrl-C
    leaves it running. Letters that are accepted are marked; one that is refused again becomes a new letter.
    Exit code 0: every replay is done, and no letter was refused again (with --detach: all are started).
    """
    state: CommandContext = context.obj
    selection = letter_selection(destination, reason, organization, from_, to, None)
    if producer:
        if destination is not None or to_live or rate is not None:
            raise InputError(
                "--producer publishes to the topics, for every destination: leave out --destination, --to-live and --rate."
            )
        redrive_unreadable(state, selection, dry_run=dry_run, detach=detach, yes=yes, as_json=as_json)
        return
    plan = _make_plan(state, RedriveRequest(selection, to_live, rate))
    for text in plan.corrupt:
        print_error(text)
    if not as_json:
        _print_plan(plan, to_live=to_live)
    if dry_run or not plan.jobs:
        if as_json:
            print_json(redrive_document(plan, started=False))
        return
    state.run_quietly(require_no_other(state.connection(), plan.jobs, now_ms()))
    if not yes:
        _ask(plan, to_live=to_live, as_json=as_json)
    _start(state, plan, detach=detach, as_json=as_json)


def _make_plan(state: CommandContext, request: RedriveRequest) -> RedrivePlan:
    settings = state.settings
    plan: RedrivePlan = state.run_quietly(
        plan_redrive(
            state.connection(),
            settings.destinations,
            settings.schema_registry,
            request,
            current_operator(),
            now_ms(),
        )
    )
    return plan


def _start(state: CommandContext, plan: RedrivePlan, *, detach: bool, as_json: bool) -> None:
    failures = []
    for each in plan.jobs:
        failure: str | None = state.run_quietly(submit(state.connection(), each.job))
        if failure is not None:
            failures.append(failure)
        if not as_json:
            advice = detached_text(each.job.id) if detach else "Ctrl-C ends this command, and not the replay."
            print_wrapped(f"The replay {each.job.id} of {each.job.destination} is started. {advice}")
    for failure in failures:
        print_error(failure)
    if detach:
        if as_json:
            print_json(redrive_document(plan, started=True))
    elif not _follow_all(state, plan.jobs, as_json=as_json):
        failures.append("")
    if failures:
        raise typer.Exit(1)


def _follow_all(state: CommandContext, jobs: Sequence[PlannedRedrive], *, as_json: bool) -> bool:
    """Follow the replays, one after the other. Return whether all are done and no letter was refused again."""
    views = []
    for each in jobs:
        view = follow_job(state, each.job.id, quiet=as_json)
        views.append(view)
        if not as_json:
            print_wrapped(result_text(view))
            skips = view.progress.skips if view.progress else ()
            for text in skipped_texts(Counter({each.reason: each.count for each in skips})):
                print_wrapped(text)
    if as_json:
        print_json([replay_document(view) for view in views])
    return all(
        view.complete and view.progress is not None and not view.progress.dead_lettered for view in views
    )


def _ask(plan: RedrivePlan, *, to_live: bool, as_json: bool) -> None:
    require_person(_NOT_STARTED, as_json=as_json)
    if not to_live:
        typer.confirm("Start the redrive?", abort=True)
        return
    names = ", ".join(each.job.destination for each in plan.jobs)
    require_typed(names, "send them where new events go", _NOT_STARTED)


def _print_plan(plan: RedrivePlan, *, to_live: bool) -> None:
    for each in plan.jobs:
        letters = each.letters
        print_wrapped(
            f"{each.job.destination} gets {quantity(letters.events, 'event')} of dead letters again. They go {target_text(to_live=to_live)}."
        )
        print_groups(letters.summary.groups(), now_ms(), terminal_width())
        most = letters.by_organization.most_common(_MAX_ORGANIZATIONS)
        print_rows(("organization", "events"), [(name, f"{count:,}") for name, count in most])
        if len(letters.by_organization) > len(most):
            print(f"and {quantity(len(letters.by_organization) - len(most), 'more organization')}")
        for text in (*skipped_texts(letters.skipped), *each.notes):
            print_wrapped(text)
        print()
    for text in skipped_texts(plan.left):
        print_wrapped(text)
    if not plan.jobs:
        print_wrapped("There is no dead letter that can be redriven.")

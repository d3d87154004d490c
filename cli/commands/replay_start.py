"""`jira-relay replay start`."""

import typer

from cli.commands.replay_options import (
    ArchiveOption,
    ByOption,
    DetachOption,
    EventOption,
    LostOption,
    RateOption,
    RefillOption,
    ReplayDestinationOption,
    ReplayDryRunOption,
    ReplayFromOption,
    ReplayOrganizationOption,
    ReplayToOption,
    ReplayYesOption,
    ToLiveOption,
    WhereOption,
)
from cli.context import CommandContext, current_operator
from cli.output import JsonOption, print_error, print_json, print_wrapped
from cli.replay_dry_run import count_events, print_dry_run
from cli.replay_output import finish
from cli.replay_progress import detached_text, follow_job
from cli.start_question import require_person, require_typed
from management.organizations.validation import InputError
from management.replay.asking import AskedReplay, plan_asked, plan_text
from management.replay.jobs import facts, submit
from management.replay.request import ReplayRequest
from management.replay.start import PlannedReplay
from management.replay.view import ReplayView
from management.times import parse_time
from relay.quantities import quantity
from relay.replays.job import ReplayJob
from relay.timestamps import now_ms

_NOT_STARTED = "The replay was not started"


def start(
    context: typer.Context,
    destination: ReplayDestinationOption,
    from_: ReplayFromOption = None,
    to: ReplayToOption = None,
    by: ByOption = "collected",
    organization: ReplayOrganizationOption = None,
    event: EventOption = None,
    where: WhereOption = None,
    archive: ArchiveOption = None,
    lost: LostOption = None,
    refill: RefillOption = False,
    to_live: ToLiveOption = False,
    rate: RateOption = None,
    dry_run: ReplayDryRunOption = False,
    detach: DetachOption = False,
    yes: ReplayYesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deliver the events of a window again to one destination: to its history, unless --to-live is given.

    The job is written to Kafka, and a consumer of the destination does it beside live events. The command follows it; Ctrl-C leaves it running.
    Exit code 0: it is done and no event was lost (with --detach: it is started).
    """
    state: CommandContext = context.obj
    request = ReplayRequest(
        destination,
        by,
        None if from_ is None else parse_time(from_),
        None if to is None else parse_time(to),
        tuple(organization or ()),
        tuple(event or ()),
        where,
        archive,
        to_live,
        rate,
    )
    planned = _make_plan(state, AskedReplay(request, lost, refill))
    job = planned.job(current_operator(), now_ms())
    if not as_json:
        _print_plan(planned)
    if dry_run:
        if planned.content == "refill":
            raise InputError("What the source has is known once it is read, so a refill has no dry run.")
        print_dry_run(count_events(state, job, quiet=as_json), planned, as_json=as_json)
        return
    if not yes:
        require_person(_NOT_STARTED, as_json=as_json)
        _ask(state, job)
    _start(state, job, detach=detach, as_json=as_json)


def _make_plan(state: CommandContext, asked: AskedReplay) -> PlannedReplay:
    plan: PlannedReplay = state.run_quietly(
        plan_asked(state.connection(), state.settings.destinations, asked, now_ms())
    )
    return plan


def _start(state: CommandContext, job: ReplayJob, *, detach: bool, as_json: bool) -> None:
    """Write the job, and follow it unless it is detached. Exit with 1 if the entry in the history of changes failed."""
    failure: str | None = state.run_quietly(submit(state.connection(), job))
    if failure is not None:
        print_error(failure)
    if detach:
        _print_started(job, as_json=as_json)
    else:
        finish(_followed(state, job, as_json=as_json), as_json=as_json)
    if failure is not None:
        raise typer.Exit(1)


def _followed(state: CommandContext, job: ReplayJob, *, as_json: bool) -> ReplayView:
    if not as_json:
        print_wrapped(f"The replay {job.id} is started. Ctrl-C ends this command, and not the replay.")
    return follow_job(state, job.id, quiet=as_json)


def _print_started(job: ReplayJob, *, as_json: bool) -> None:
    if as_json:
        print_json(facts(job) | {"destination": job.destination, "state": "waiting"})
    else:
        print_wrapped(f"The replay {job.id} is started. {detached_text(job.id)}")


def _print_plan(planned: PlannedReplay) -> None:
    print_wrapped(plan_text(planned))
    for note in planned.notes:
        print_wrapped(note)


def _ask(state: CommandContext, job: ReplayJob) -> None:
    """Ask whether to start. Rows that go where new events go are counted first, and the name of the destination is typed."""
    if not job.to_live:
        typer.confirm("Start the replay?", abort=True)
        return
    if job.content == "refill":
        events = "All events of the window that the source has, known once it is read,"
    else:
        events = quantity(count_events(state, job).events, "event")
    print_wrapped(
        f"{events} would go where new events go, and rules of {job.destination} may raise alarms for each of them again."
    )
    require_typed(job.destination, "send them", _NOT_STARTED)

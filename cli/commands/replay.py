"""`jira-relay replay`."""

from typing import Annotated

import typer

from cli.commands.replay_start import start
from cli.context import CommandContext, current_operator
from cli.output import JsonOption, print_error, print_facts, print_json, print_wrapped, terminal_width
from cli.replay_output import finish
from cli.replay_progress import follow_job
from cli.table import TableRow, WideOption, print_rows, print_table
from management.formatting import age, iso_seconds
from management.replay.documents import part_documents, range_documents, replay_document
from management.replay.jobs import Replays, WishResult, read_replay, read_replays, set_wish, wish_text
from management.replay.parts import PART_TITLES, parts_of
from management.replay.signs import LookTiming
from management.replay.texts import counts_text, duration_text, events_text, target_text
from management.replay.view import ReplayView
from relay.replays.job import Wish
from relay.timestamps import now_ms

app = typer.Typer(no_args_is_help=True)
app.command()(start)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the replay, as `replay list` shows it.")]

_TITLES = ("id", "state", "since", "progress", "destination", "window", "owner")


@app.callback()
def replay() -> None:
    """Deliver events again to one destination, as a job of the relay.

    Its consumers do the work, beside live events, so no terminal has to stay open.
    """


@app.command("list")
def list_replays(context: typer.Context, wide: WideOption = False, as_json: JsonOption = False) -> None:
    """List the replays, newest first: state and since when, how far each is, destination and window."""
    state: CommandContext = context.obj
    replays: Replays = state.run_quietly(read_replays(state.connection(), now_ms()))
    views = replays.views
    for problem in replays.problems:
        print_error(problem)
    if as_json:
        print_json([replay_document(view) for view in views])
        return
    if not views:
        print("There are no replays. `jira-relay replay start` starts one.")
        return
    width = terminal_width()
    if wide or width is None:
        print_rows(
            (*_TITLES, "reason"), [(*_cells(view, iso_seconds(view.since)), view.reason) for view in views]
        )
    else:
        rows = [TableRow(_cells(view, age(view.since, view.now_ms)), view.reason) for view in views]
        print_table(_TITLES, rows, "replay", numbered=1, width=width)


@app.command()
def show(context: typer.Context, replay_id: IdArgument, as_json: JsonOption = False) -> None:
    """Show a replay: what was asked for, how far it is, and its place in each partition."""
    state: CommandContext = context.obj
    view: ReplayView = state.run_quietly(read_replay(state.connection(), replay_id, now_ms(), LookTiming()))
    if as_json:
        parts = {"ranges": range_documents(view), "parts": part_documents(view)}
        print_json(replay_document(view) | parts)
        return
    print_facts(_facts(view))
    if parts_of(view.replay):
        print()
        print_rows(PART_TITLES, [each.cells() for each in parts_of(view.replay)])
    if view.job.ranges:
        print()
        print_rows(("topic", "partition", "start", "end", "place", "left"), _range_rows(view))


@app.command()
def follow(context: typer.Context, replay_id: IdArgument, as_json: JsonOption = False) -> None:
    """Follow a replay to its end. Exit code 0: it is done, and no event was lost. Ctrl-C ends the command alone."""
    finish(follow_job(context.obj, replay_id, quiet=as_json), as_json=as_json)


@app.command()
def pause(context: typer.Context, replay_id: IdArgument, as_json: JsonOption = False) -> None:
    """Pause a replay. Its places are kept."""
    _wish(context.obj, replay_id, "paused", as_json=as_json)


@app.command()
def resume(context: typer.Context, replay_id: IdArgument, as_json: JsonOption = False) -> None:
    """Let a paused replay go on where it stopped."""
    _wish(context.obj, replay_id, "running", as_json=as_json)


@app.command()
def cancel(context: typer.Context, replay_id: IdArgument, as_json: JsonOption = False) -> None:
    """End a replay for good. What was sent stays at the destination."""
    _wish(context.obj, replay_id, "cancelled", as_json=as_json)


def _wish(state: CommandContext, replay_id: str, wish: Wish, *, as_json: bool) -> None:
    work = set_wish(state.connection(), replay_id, wish, current_operator(), now_ms())
    result: WishResult = state.run_quietly(work)
    if as_json:
        print_json({"id": replay_id, "wished": wish, "changed": result.changed, "state": result.view.state})
    else:
        print_wrapped(wish_text(result, wish))
    if result.failure is not None:
        print_error(result.failure)
        raise typer.Exit(1)


def _cells(view: ReplayView, since: str) -> tuple[str, ...]:
    job, progress = view.job, view.progress
    done = f"{100 * view.fraction:.0f} %, {counts_text(view)}"
    return (
        job.id,
        view.state,
        since,
        done,
        job.destination + (" (live)" if job.to_live else ""),
        events_text(job),
        "" if progress is None else progress.owner,
    )


def _facts(view: ReplayView) -> list[tuple[str, str]]:
    job, progress = view.job, view.progress
    facts_of_job = [
        ("id", job.id),
        ("state", f"{view.state} since {iso_seconds(view.since)}"),
        ("reason", view.reason),
        ("destination", job.destination),
        ("goes", target_text(to_live=job.to_live)),
        ("target", job.target or ""),
        ("events", events_text(job)),
        ("organizations", ", ".join(job.organizations)),
        ("ids", ", ".join(job.events)),
        ("where", job.where or ""),
        ("letters", job.reason or ""),
        ("archive", job.archive or ""),
        ("lost range", "" if job.lost is None else job.lost.name),
        ("rate", "" if job.rate is None else f"at most {job.rate:,} events/s"),
        ("asked", f"{iso_seconds(job.requested_at)} by {job.requested_by}"),
        ("wished", f"{job.wished} since {iso_seconds(job.wished_at)} by {job.wished_by}"),
        ("progress", f"{100 * view.fraction:.1f} %, {counts_text(view)}"),
        ("time left", "" if view.seconds_left is None else duration_text(view.seconds_left)),
    ]
    if progress is not None:
        facts_of_job += [
            ("owner", progress.owner),
            ("last sign", iso_seconds(progress.at)),
            ("began", iso_seconds(progress.started_at)),
            ("ended", "" if progress.finished_at is None else iso_seconds(progress.finished_at)),
        ]
    return [(name, value) for name, value in facts_of_job if value]


def _range_rows(view: ReplayView) -> list[tuple[str, ...]]:
    return [
        (
            each.range.topic,
            str(each.range.partition),
            str(each.range.start),
            str(each.range.end),
            str(each.place),
            f"{max(0, each.range.end - each.place):,}",
        )
        for each in view.places
    ]

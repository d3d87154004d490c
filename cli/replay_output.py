"""A replay as one JSON document, and how a command ends that has followed it."""

from typing import Any

import typer

from cli.output import print_error, print_json, print_wrapped
from management.formatting import iso_milliseconds
from management.replay.jobs import facts
from management.replay.texts import result_text
from management.replay.view import ReplayView


def finish(view: ReplayView, *, as_json: bool) -> None:
    """Print how a replay ended. Exit code 1, unless it is done and no event was lost."""
    if as_json:
        print_json(replay_document(view))
    elif view.complete:
        print_wrapped(result_text(view))
    if not view.complete:
        print_error(result_text(view))
        raise typer.Exit(1)


def replay_document(view: ReplayView) -> dict[str, Any]:
    """Return a replay as a document; counts are left out before it has begun."""
    progress = view.progress
    document = facts(view.job) | {
        "destination": view.job.destination,
        "requested_at": iso_milliseconds(view.job.requested_at),
        "requested_by": view.job.requested_by,
        "wished": view.job.wished,
        "wished_at": iso_milliseconds(view.job.wished_at),
        "wished_by": view.job.wished_by,
        "state": view.state,
        "since": iso_milliseconds(view.since),
        "state_reason": view.reason or None,
        "fraction": round(view.fraction, 4),
        "seconds_left": view.seconds_left,
        "owner": None,
    }
    if progress is None:
        return document
    return document | {
        "owner": progress.owner,
        "at": iso_milliseconds(progress.at),
        "started_at": iso_milliseconds(progress.started_at),
        "finished_at": iso_milliseconds(progress.finished_at),
        "read": progress.read,
        "sent": progress.sent,
        "skipped": progress.skipped,
        "dead_lettered": progress.dead_lettered,
        "lost": progress.lost,
    }

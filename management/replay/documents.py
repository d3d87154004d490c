"""Replays as JSON documents, which the command line and the console share. Pure."""

from typing import Any

from management.formatting import iso_milliseconds
from management.replay.dry_run import DryRun
from management.replay.jobs import facts
from management.replay.parts import parts_of
from management.replay.start import PlannedReplay
from management.replay.view import ReplayView
from relay.quantities import quantity


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


def part_documents(view: ReplayView) -> list[dict[str, Any]]:
    """Return the producers' part for each organization; empty: they have none in the replay."""
    return [each.document() for each in parts_of(view.replay)]


def range_documents(view: ReplayView) -> list[dict[str, Any]]:
    """Return where each range of a replay is."""
    return [
        {
            "topic": each.range.topic,
            "partition": each.range.partition,
            "start": each.range.start,
            "end": each.range.end,
            "place": each.place,
        }
        for each in view.places
    ]


def dry_run_document(counts: DryRun, planned: PlannedReplay) -> dict[str, Any]:
    """Return what a replay would do."""
    request = planned.request
    return {
        "destination": request.destination,
        "by": request.by,
        "from": iso_milliseconds(request.from_ms),
        "to": iso_milliseconds(request.to_ms),
        "to_live": request.to_live,
        "events": counts.events,
        "skipped": counts.skipped,
        "undecodable": counts.undecodable,
        "lost": counts.lost,
        "by_organization": dict(counts.by_organization.most_common()),
        "by_day": counts.days(),
        "rows": counts.rows,
        "rows_problem": counts.rows_problem,
        "notes": list(planned.notes),
    }


def summary_text(counts: DryRun, destination: str) -> str:
    """Return what a replay would do in a few sentences."""
    parts = [f"{quantity(counts.events, 'event')} would be sent to {destination}. Nothing was sent."]
    if counts.skipped:
        parts.append(f"{quantity(counts.skipped, 'other event')} of these partitions would be skipped.")
    if counts.undecodable:
        parts.append(
            f"{quantity(counts.undecodable, 'record')} cannot be decoded and would become dead letters."
        )
    if counts.lost:
        parts.append(f"{counts.lost:,} offsets of the window were deleted meanwhile.")
    return " ".join(parts)

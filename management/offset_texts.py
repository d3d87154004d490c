"""A planned move of offsets as a sentence and as a JSON document, which the command line and the console share. Pure."""

from typing import Any

from management.destination_move import PlannedMove
from management.formatting import iso_seconds
from relay.quantities import quantity


def move_text(planned: PlannedMove) -> str:
    """Return what a move would do: how many events, and when they were collected."""
    counts, subject = planned.counts, f"the {planned.flow} flow of {planned.destination}"
    if not planned.moves:
        return f"Nothing changes for {subject}: it is there already."
    what = "would be delivered again" if planned.direction == "rewind" else "would be left out"
    times = (
        ""
        if counts.first_at is None
        else f", collected from {iso_seconds(counts.first_at)} to {iso_seconds(counts.last_at)}"
    )
    return f"{quantity(counts.events, 'event')} {what} by {subject}{times}."


def move_document(planned: PlannedMove, *, moved: bool) -> dict[str, Any]:
    """Return what a move would change, or has changed."""
    return {
        "destination": planned.destination,
        "flow": planned.flow,
        "direction": planned.direction,
        "moved": moved,
        "events": planned.counts.events,
        "by_organization": dict(planned.counts.by_organization),
        "offsets": {
            str(each.partition.partition): {"before": each.before.offset, "after": each.after.offset}
            for each in planned.moves
        },
        "notes": list(planned.notes),
    }

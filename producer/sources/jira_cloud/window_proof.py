"""Judges whether an answer of Jira proves anything about the window that was asked for. Pure."""

from producer.events import Event, UnreadableRecord
from producer.sources.errors import ErrorKind, RequestContext, SourceFailure
from producer.sources.jira_cloud.messages import make_failure
from producer.state.intervals import TimeRange

TOLERANCE_MS = 1_000
"""A server that compares whole seconds may show a record that lies so far outside the window. A time zone shifts by 15
minutes at least."""
HIDING_MS = 600_000
"""How soon after a window a record must come to hide, as the newest one, those of the window."""


def is_far_outside(requested: TimeRange, item: Event | UnreadableRecord) -> bool:
    """Return whether a readable record cannot be meant by the request, however its instants were rounded."""
    if isinstance(item, UnreadableRecord):
        return False
    created: int = item["created"]
    return not requested.start - TOLERANCE_MS <= created < requested.end + TOLERANCE_MS


def outside_window_failure(organization: str, host: str, count: int) -> SourceFailure:
    """Return the failure of an answer with `count` records far outside the window."""
    context = RequestContext(organization, host)
    return make_failure(ErrorKind.OUTSIDE_WINDOW, context, quote=f"{count} of them")


def contradicts(empty: TimeRange, newest_created: int) -> bool:
    """Return whether Jira, asked without dates, shows a record of a window for which it had shown none."""
    return newest_created in empty


def is_inconclusive(empty: TimeRange, newest_created: int) -> bool:
    """Return whether the newest record came so soon after the window that it hides those before it. Not so for history."""
    return empty.end <= newest_created < empty.end + HIDING_MS


def contradiction_failure(organization: str) -> SourceFailure:
    return SourceFailure(
        ErrorKind.BROKEN_ANSWER,
        f"{organization}: Jira showed no records for a time in which it has some; the request is repeated."
        " If this lasts, check whether a proxy changes the requests, or the site has a time zone fault.",
    )

"""A whole installation as lines of text: causes first, the worst at the top. Pure."""

from collections.abc import Iterator, Sequence

from cli.organization_table import last_event_cell
from cli.output import escape_controls, wrap
from cli.table import TableRow, list_names, render_table
from management.destination_view import DestinationView, lag_text
from management.formatting import age, iso_seconds
from management.installation import Installation
from management.organizations.view import OrganizationView
from management.overview import Cause, day_total

DESTINATION_TITLES = ("Destination", "State", "Since", "Lag", "Last accepted", "24 h", "Kind")
ORGANIZATION_TITLES = ("Organization", "State", "Since", "Complete up to", "Last event", "24 h")
_INDENT = " " * 9


def status_lines(seen: Installation, bootstrap: str, width: int, *, with_rates: bool = False) -> list[str]:
    """Return the lines. `with_rates`: the events a second of each destination instead of its kind."""
    lines = [*_head(seen, bootstrap, width), ""]
    for cause in seen.causes:
        lines += _cause_lines(cause, seen.now_ms, width)
    for problem in seen.problems:
        lines += wrap(f"PROBLEM  {escape_controls(problem)}", width, _INDENT)
    if not seen.causes and not seen.problems:
        lines.append("Nothing needs you." if seen.organizations else "No organization has been added yet.")
    lines += ["", *wrap(_organization_sentence(seen), width)]
    if seen.destinations:
        lines += ["", *_destination_table(seen.destinations, width, with_rates=with_rates)]
    for view in seen.replays:
        text = f"Replay {view.job.id} to {view.job.destination}: {view.state}, {100 * view.fraction:.0f} %"
        lines += wrap(escape_controls(text), width)
    return lines


def organization_lines(seen: Installation, width: int) -> list[str]:
    """Return a table of the organizations, those that need an operator first, then those with the newest events."""
    if not seen.organizations:
        return []
    rows = [_organization_row(view) for view in sorted(seen.organizations, key=_urgency)]
    return render_table(ORGANIZATION_TITLES, rows, "organization", numbered=1, width=width)


def _head(seen: Installation, bootstrap: str, width: int) -> Iterator[str]:
    processes = ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in seen.processes.items())
    yield from wrap(f"{iso_seconds(seen.as_of)}  {processes}; Kafka at {bootstrap}", width)
    if seen.failure is not None:
        yield from wrap(f"KAFKA    {escape_controls(seen.failure)}", width, _INDENT)


def _cause_lines(cause: Cause, now_ms: int, width: int) -> Iterator[str]:
    names = [f"{each.name} ({each.detail})" if each.detail else each.name for each in cause.members]
    count = len(names)
    subject = cause.subject if count == 1 else f"{count} {cause.subject}s"
    since = f", since {age(cause.since, now_ms).removesuffix(' ago')}" if _is_past(cause, now_ms) else ""
    severity = cause.severity.name
    state = "" if cause.state == severity.lower() else cause.state
    head = f"{state}{since}".removeprefix(", ")
    text = f"{severity:<9}{head and f'{head}: '}{subject} {list_names(names)}"
    yield from wrap(escape_controls(text), width, _INDENT)
    if cause.reason:
        yield from wrap(_INDENT + escape_controls(cause.reason_with_command), width, _INDENT)


def _is_past(cause: Cause, now_ms: int) -> bool:
    """Return whether its first member was affected more than a second ago; a key may expire later than now."""
    return cause.since is not None and now_ms - cause.since >= 1_000


def _organization_sentence(seen: Installation) -> str:
    count, day = len(seen.organizations), seen.last_day
    states = ", ".join(f"{number} {word}" for word, number in seen.states)
    complete = age(seen.complete_up_to, seen.now_ms)
    parts = [
        f"{count} organization{'s' * (count != 1)}{f': {states}' if states else ''}",
        f"complete up to {complete}" if complete else "",
        f"{day.events:,} events in 24 h ({day.late:,} late, {day.dead_letters:,} dead letters)"
        if count
        else "",
    ]
    return escape_controls("; ".join(filter(None, parts)))


def _destination_table(views: Sequence[DestinationView], width: int, *, with_rates: bool) -> list[str]:
    titles = (*DESTINATION_TITLES[:-1], "Events/s" if with_rates else "Kind")
    urgent_first = sorted(
        views, key=lambda view: (view.state == "active" and not view.lost_ranges, view.name)
    )
    rows = [_destination_row(view, with_rates=with_rates) for view in urgent_first]
    return render_table(titles, rows, "destination", numbered=1, width=width)


def _destination_row(view: DestinationView, *, with_rates: bool) -> TableRow:
    rate = view.events_per_second
    cells = (
        view.name,
        view.state,
        age(view.since, view.now_ms),
        lag_text(view),
        age(view.last_accepted, view.now_ms),
        f"{view.day.events:,}",
        view.kind if not with_rates else "" if rate is None else f"{rate:,.1f}",
    )
    return TableRow(cells)


def _organization_row(view: OrganizationView) -> TableRow:
    status, now = view.status, view.now_ms
    cells = (
        view.organization.name,
        view.state_word,
        age(view.since, now),
        age(None if status is None else status.complete_up_to, now),
        last_event_cell(view),
        f"{day_total(view.counts, now).events:,}",
    )
    return TableRow(cells)


def _urgency(view: OrganizationView) -> tuple[int, int, str]:
    last_event = view.status.last_event if view.status is not None else None
    return (view.urgency[0], -(last_event or 0), view.organization.name)

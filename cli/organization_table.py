"""Organizations as a table for a terminal, as rows of one line, and one as a list of names and values."""

from collections.abc import Sequence
from typing import Any, Literal

from cli.table import TableRow, count_line
from management.formatting import age, iso_seconds
from management.organizations.causes import shared_reason
from management.organizations.view import STATES, OrganizationView

TITLES = ("Name", "State", "Since", "Complete up to", "Key expires", "Last event")
STATE_COLUMN = 1
StateName = Literal["failing", "waiting", "no-owner", "starting", "active", "paused"]
"""The states, as an option names them."""
WIDE_TITLES = ("Name", "URL", "Last event", "Complete up to", "Key expires", "State")


def table_row(view: OrganizationView) -> TableRow:
    """Return the row for a terminal, with ages. Organizations that differ in name and URL alone share an explanation."""
    status, now = view.status, view.now_ms
    cells = (
        view.organization.name,
        view.state_word,
        age(view.since, now),
        age(None if status is None else status.complete_up_to, now),
        view.expiry.rpartition(": ")[2],
        last_event_cell(view),
    )
    shared = shared_reason(view.reason, view.organization.name, view.organization.url, view.organization.user)
    return TableRow(cells, shared, view.reason)


def last_event_cell(view: OrganizationView) -> str:
    """Return the age of the last event, and whether the silence since then is unlikely."""
    found = age(None if view.status is None else view.status.last_event, view.now_ms)
    return ", ".join(filter(None, (found, "silent" if view.silence_word == "silent" else "")))


def wide_row(view: OrganizationView) -> tuple[str, ...]:
    """Return the cells of WIDE_TITLES, with full times and the state in words."""
    organization, status = view.organization, view.status
    last_event = None if status is None else status.last_event
    complete_up_to = None if status is None else status.complete_up_to
    return (
        organization.name,
        organization.url,
        iso_seconds(last_event) if last_event is not None else "",
        iso_seconds(complete_up_to) if complete_up_to is not None else "",
        view.expiry,
        view.state,
    )


def summary(views: Sequence[OrganizationView], total: int) -> str:
    """Return the counts of the states, and how many keys expire soon. `views`: those shown, of `total`."""
    words = sorted((view.state_word for view in views), key=_place)
    expiring = sum(view.expires_within_days is not None for view in views)
    keys = (
        f"{expiring} API key{'s expire' if expiring != 1 else ' expires'} within 30 days." if expiring else ""
    )
    return f"{count_line(total, 'organization', words, len(views))}{f'. {keys}' if keys else ''}"


def _place(word: str) -> int:
    return STATES.index(word) if word in STATES else len(STATES)


def organization_facts(view: OrganizationView, backfill: str) -> list[tuple[str, str]]:
    """Return label and value of each field, then time and state of each transition. `backfill`: how far it has come."""
    document = view.document()
    status = document.pop("status") or {}
    document["interval_seconds"] = document["interval_seconds"] or "the producer's setting"
    document["state"], document["credential_expires"] = view.state, view.expiry or None
    shown = {name: value for name, value in document.items() if name not in _HIDDEN_FIELDS}
    shown |= {name: status.get(name) for name in ("last_poll", "last_event", "complete_up_to")}
    lines = [(_field_label(name), _format_value(value)) for name, value in shown.items()]
    lines.append(("backfill", backfill))
    for entry in status.get("transitions", []):
        reason = f": {entry['reason']}" if entry["reason"] else ""
        lines.append((f"{entry['at']}", f"{entry['state']}{reason}"))
    return lines


_HIDDEN_FIELDS = {"state_in_words", "credential_expires_within_days"}


def _field_label(name: str) -> str:
    return name.replace("_", " ")


def _format_value(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
    return str(value)

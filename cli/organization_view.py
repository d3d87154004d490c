"""An organization as a row of the table, and as a list of names and values."""

from typing import Any

from management.formatting import iso_seconds
from management.organizations.view import OrganizationView


def organization_row(view: OrganizationView) -> tuple[str, ...]:
    """Return the cells: name, URL, last event, complete up to, key expiry, state."""
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


def organization_facts(view: OrganizationView) -> list[tuple[str, str]]:
    """Return label and value of each field, then time and state of each transition."""
    document = view.document()
    status = document.pop("status") or {}
    document["interval_seconds"] = document["interval_seconds"] or "the producer's setting"
    document["state"], document["credential_expires"] = view.state, view.expiry or None
    shown = {name: value for name, value in document.items() if name not in _HIDDEN_FIELDS}
    shown |= {
        name: status.get(name) for name in ("last_poll", "last_event", "complete_up_to", "backfilled_to")
    }
    lines = [(_field_label(name), _format_value(value)) for name, value in shown.items()]
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

"""An organization as a line of a table, and as a list of facts."""

from typing import Any

from management.formatting import instant
from management.organizations.view import View


def row(view: View) -> tuple[str, ...]:
    organization, status = view.organization, view.status
    last_event = None if status is None else status.last_event
    complete_up_to = None if status is None else status.complete_up_to
    return (
        organization.name,
        organization.url,
        instant(last_event) if last_event is not None else "",
        instant(complete_up_to) if complete_up_to is not None else "",
        view.expiry,
        view.state,
    )


def facts(view: View) -> list[tuple[str, str]]:
    document = view.document()
    status = document.pop("status") or {}
    document["interval_seconds"] = document["interval_seconds"] or "as set for the producer"
    document["state"], document["credential_expires"] = view.state, view.expiry or None
    told = {name: value for name, value in document.items() if name not in _UNTOLD}
    told |= {
        name: status.get(name) for name in ("last_poll", "last_event", "complete_up_to", "backfilled_to")
    }
    lines = [(_label(name), _text(value)) for name, value in told.items()]
    for entry in status.get("transitions", []):
        reason = f": {entry['reason']}" if entry["reason"] else ""
        lines.append((f"{entry['at']}", f"{entry['state']}{reason}"))
    return lines


_UNTOLD = {"state_in_words", "credential_expires_within_days"}


def _label(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
    return str(value)

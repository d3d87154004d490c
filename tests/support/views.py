"""Organizations and their statuses as values, seen at NOW."""

from typing import Any

from management.organizations.view import OrganizationView
from relay.organizations import Organization
from relay.status.model import Status
from relay.timestamps import DAY_MS

NOW = 1_790_000_000_000


def organization(name: str = "acme", **fields: Any) -> Organization:
    values: dict[str, Any] = {
        "url": f"https://{name}",
        "user": "relay@example.com",
        "added": NOW,
        "modified": NOW,
    }
    return Organization(name, **(values | {"revision": 1} | fields))


def status(state: str = "active", **fields: Any) -> Status:
    values: dict[str, Any] = {"since": NOW - 60_000, "at": NOW, "valid_until": NOW + 60_000, "epoch": 1}
    return Status(**({"state": state} | values | fields))


def view(
    name: str, reported: str = "active", reason: str | None = None, *, valid_ms: int = 60_000, **fields: Any
) -> OrganizationView:
    """Return the view of NAME.atlassian.net. `reported`: the state of its status.

    `reason`: HOST in it is the host. `fields`: those of the organization.
    """
    host = f"{name}.atlassian.net"
    last = status(
        reported,
        since=NOW - 180_000,
        valid_until=NOW + valid_ms,
        reason=reason and f"{host}: {reason.replace('HOST', host)}",
        last_event=NOW - 2 * DAY_MS,
        complete_up_to=NOW - 7_200_000,
    )
    return OrganizationView(organization(host, **fields), last, NOW)

"""What the overview says of organizations whose days are not complete. Pure."""

from collections.abc import Iterator, Mapping

from management.overview import Affected, Finding, Severity
from relay.status.model import Status

STATUS_PREFIX = "completeness/"
"""Of the key of an organization's status, which exists while its days are not complete."""


def completeness_findings(statuses: Mapping[str, Status], now_ms: int) -> Iterator[Finding]:
    """Yield what the overview says of organizations whose days are not complete."""
    for key, status in statuses.items():
        name = key.removeprefix(STATUS_PREFIX)
        if name == key or now_ms > status.valid_until:
            continue
        reason = _REASONS.get(status.state, "")
        own = " ".join(filter(None, (reason, status.reason)))
        yield (
            Severity.WAITING,
            "organization",
            status.state,
            reason,
            Affected(name, status.since, own_reason=own),
        )


_REASONS = {
    "differing": "A day of it has other events in the audit log, in Kafka or at a destination.",
    "unproven": "A day of it could not be counted or sealed.",
}

"""Every wait and bound of an operator's work, as one frozen value; those of an edit are beside its editor. Durations are in seconds.

The defaults hold in production; tests pass other values.
"""

from dataclasses import dataclass, field

from management.organizations.timing import EditTiming


@dataclass(frozen=True, slots=True)
class OperatorTiming:
    """Bounds of the connection test, of the checks and of edits."""

    connection_test_seconds: float = 60.0
    topics_seconds: float = 30.0
    concurrent_checks: int = 8
    waiting_grace_seconds: float = 300.0
    """How long a service may wait for its peer until `check` calls that a failure."""
    edit: EditTiming = field(default_factory=EditTiming)

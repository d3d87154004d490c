"""Every wait and bound of an operator's work, as one frozen value. Durations are in seconds.

The defaults hold in production; tests pass other values.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EditTiming:
    """Bounds of one edit of an organization."""

    seconds: float = 40.0
    """For all attempts together."""
    attempts: int = 12
    """How often an edit is begun, when other editors fence it."""
    longest_first_wait_seconds: float = 0.4
    """Upper end of the random wait before the second attempt; each further one waits longer."""


@dataclass(frozen=True, slots=True)
class OperatorTiming:
    """Bounds of the connection test, of the checks and of edits."""

    connection_test_seconds: float = 60.0
    topics_seconds: float = 30.0
    concurrent_checks: int = 8
    waiting_grace_seconds: float = 300.0
    """How long a service may wait for its peer until `check` calls that a failure."""
    edit: EditTiming = EditTiming()

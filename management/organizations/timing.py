"""Bounds of an edit. Durations are in seconds. The defaults hold in production; tests pass other values."""

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

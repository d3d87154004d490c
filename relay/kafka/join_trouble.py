"""The words of the health page for a process that Kafka does not let join its consumer group."""

from collections.abc import Callable

from aiokafka.errors import GroupAuthorizationFailedError

from relay.errors import one_line
from relay.timestamps import now_ms, to_iso_seconds


def joining_text(kafka: str) -> str:
    """Return the reason of a process that has just begun to join, without a full stop. `kafka`: its address."""
    return f"joining the group of Kafka at {kafka}; if this lasts, check that Kafka runs and is reachable"


class JoinTrouble:
    """Since when the group has not confirmed a membership, and how the last attempt to join ended. Times are ms UTC."""

    def __init__(
        self,
        group: str,
        kafka: str,
        clock_ms: Callable[[], int] = now_ms,
        *,
        error_seconds: float = 5.0,
        silence_seconds: float = 15.0,
    ) -> None:
        """`kafka`: its address. A shorter trouble is an ordinary start or rebalance.

        `error_seconds` holds after a failed attempt, `silence_seconds` for an attempt without an answer.
        """
        self._group = group
        self._kafka = kafka
        self._clock_ms = clock_ms
        self._error_seconds = error_seconds
        self._silence_seconds = silence_seconds
        self._since: int | None = None
        self._error: str | None = None

    def began(self) -> None:
        """Record the begin of an attempt."""
        if self._since is None:
            self._since = self._clock_ms()

    def failed(self, reason: str) -> None:
        """Record that an attempt, or a membership, has ended."""
        self._error = one_line(reason).rstrip(".")

    def confirmed(self) -> None:
        """Record that the group confirmed the membership."""
        self._since, self._error = self._clock_ms(), None

    @property
    def text(self) -> str | None:
        """What happened, since when, and what to do, without a full stop; None: nothing is known to be wrong."""
        if self._since is None:
            return None
        seconds, since = (self._clock_ms() - self._since) / 1000, to_iso_seconds(self._since)
        if self._error is not None and seconds >= self._error_seconds:
            return (
                f"Kafka at {self._kafka} has not let this process join the group {self._group} since {since}: {self._error}."
                f" {_remedy(self._error)}; the process joins by itself"
            )
        if self._error is None and seconds >= self._silence_seconds:
            return (
                f"Kafka at {self._kafka} has not confirmed the membership in the group {self._group} since {since}. Check that"
                " Kafka runs and is reachable; another member that hands over its partitions may take up to a minute"
            )
        return None


def _remedy(error: str) -> str:
    if GroupAuthorizationFailedError.__name__ in error:
        return "The user of this process lacks Read on the group; `jira-relay check` names the command that grants it"
    return "Check that Kafka runs and is reachable"

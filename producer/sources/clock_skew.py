"""The difference between the local clock and the API's."""

from dataclasses import dataclass

SKEW_REPORTED_FROM_MS = 30_000


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """How far the local clock is ahead of the API's, in ms, at least; negative: behind."""

    ahead_ms: int = 0

    def observe(self, sent: int, received: int, date_ms: int | None) -> "ClockSkew":
        """Return the skew after an answer. `date_ms`: its Date header, in whole seconds; None changes nothing."""
        if date_ms is None:
            return self
        return ClockSkew(max(0, sent - date_ms - 1000) - max(0, date_ms - received))

    @property
    def skewed(self) -> bool:
        return abs(self.ahead_ms) > SKEW_REPORTED_FROM_MS

    def correct(self, now: int) -> int:
        """Return the local time, never ahead of the API's: a window that ends later would skip records yet to come."""
        return now - max(0, self.ahead_ms)

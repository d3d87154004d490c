from dataclasses import dataclass

SKEW_REPORTED_FROM = 30_000


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """How far our clock is ahead of Jira's, at least (negative: behind)."""

    ahead: int = 0

    def observe(self, sent: int, received: int, date_ms: int | None) -> "ClockSkew":
        """Learn from an answer's Date, which is in whole seconds, and our times around it."""
        if date_ms is None:
            return self
        return ClockSkew(max(0, sent - date_ms - 1000) - max(0, date_ms - received))

    @property
    def skewed(self) -> bool:
        return abs(self.ahead) > SKEW_REPORTED_FROM

    def correct(self, now: int) -> int:
        """Our time, never ahead of Jira's: asking up to a later moment would step over what happens until then."""
        return now - max(0, self.ahead)

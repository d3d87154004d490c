from dataclasses import dataclass
from datetime import UTC, tzinfo


@dataclass(slots=True)
class Quirks:
    """What a site does its own way, or may do and nobody knows."""

    free_plan: bool = False
    clock_skew_seconds: float = 0.0
    max_limit: int = 1000
    echo_clamped_limit: bool = True
    """Whether `limit` in an answer is what was used, or what was asked for."""
    page_cap: int | None = None
    """Pages hold at most this many records although more follow, whatever the limit."""
    equal_bounds_match: bool = False
    """The specification: "`from` must be before `to` or no audit records are returned"."""
    zone: tzinfo = UTC
    """What a date without a zone means on the site's own host."""
    reported_total: int | None = None
    repeat_ids_divisible_by: int | None = None
    """Every record whose id is a multiple stands in the log twice."""
    retention_seconds: float | None = None
    requests_per_second: float | None = None
    """Beyond it: 429 with jira-burst-based. Atlassian's own default is 100."""
    anonymous_when_refused: bool = False
    """Wrong credentials are answered with 200, no records and X-Seraph-LoginReason."""

"""The quirks of a simulated site, which differ between real sites."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo


@dataclass(slots=True)
class Quirks:
    """Ways in which sites differ, or may differ because Atlassian does not document them."""

    free_plan: bool = False
    clock_skew_seconds: float = 0.0
    max_limit: int = 1000
    echo_clamped_limit: bool = True
    """Whether `limit` in an answer is the limit used, or the limit of the request."""
    page_cap: int | None = None
    """Most records of a page, below any limit of the request, although more follow."""
    equal_bounds_match: bool = False
    """The specification: "`from` must be before `to` or no audit records are returned"."""
    zone: tzinfo = UTC
    """The zone of a date without one, on the site's own host."""
    query_shift_seconds: float = 0.0
    """How far the site shifts the dates of a request, as one with a wrong time zone does."""
    reported_total: int | None = None
    repeat_ids_divisible_by: int | None = None
    """Records whose id is a multiple are served twice."""
    retention_seconds: float | None = None
    requests_per_second: float | None = None
    """Requests above it get a 429 with jira-burst-based. Atlassian's default is 100."""
    anonymous_when_refused: bool = False
    """Whether wrong credentials get a 200 with no records and X-Seraph-LoginReason."""
    misplaced_records: set[int] = field(default_factory=set)
    """Ids of records that each answer holds, whatever time was asked for."""
    failing_records: set[int] = field(default_factory=set)
    """Ids of records that make each page that would hold them a 500."""
    broken_records: dict[int, Callable[[bytes], bytes]] = field(default_factory=dict)
    """By id, how the bytes of a record are spoilt on each page."""

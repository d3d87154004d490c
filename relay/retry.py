"""How long to wait before trying again; who waits, and for what, is the caller's."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def backoff_seconds(
    attempt: int, random: float, *, first: float = 1.0, cap: float = 60.0, minimum: float = 0.0
) -> float:
    """The wait after the failed attempt number `attempt` (from 0): it doubles up to `cap`, of which between half and all is waited.

    `random` is from 0 to 1. `minimum` is what the other side asked for: it is honoured also above `cap`, and those who were
    all told the same do not come back all at once.
    """
    step = min(cap, first * 2.0 ** min(attempt, 60))
    own = step * (1 + random) / 2
    return max(own, minimum + min(first, cap) * random) if minimum > 0 else own


def retry_after_seconds(value: str | None, now_ms: int, *, maximum: float) -> float | None:
    """What a Retry-After header asks for: seconds, an HTTP date, or an ISO time (as in Jira's X-RateLimit-Reset).

    None if it says nothing that can be understood; never negative, and never more than `maximum`.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return _clamp(float(text), maximum)
    time = _parse_time(text)
    return None if time is None else _clamp(time.timestamp() - now_ms / 1000, maximum)


def _clamp(seconds: float, maximum: float) -> float:
    return min(max(seconds, 0.0), maximum)


def _parse_time(text: str) -> datetime | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            time = parse(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return None

"""Compute how long to wait before another attempt. The caller waits."""

import re
from datetime import UTC, datetime

from relay.timestamps import parse_http_date

_SECONDS = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def backoff_seconds(
    attempt: int, random: float, *, first: float = 1.0, cap: float = 60.0, minimum: float = 0.0
) -> float:
    """Return the wait in seconds after failed attempt number `attempt`, counted from 0.

    The step doubles from `first` up to `cap`; `random`, from 0 to 1, picks a wait between half and all of it.
    `minimum` is the wait that the peer asked for: it holds above `cap` too, with a random addition, so that clients
    with the same answer do not return at once.
    """
    step = min(cap, first * 2.0 ** min(attempt, 60))
    own = step * (1 + random) / 2
    return max(own, minimum + min(first, cap) * random) if minimum > 0 else own


def retry_after_seconds(value: str | None, now_ms: int, *, maximum: float) -> float | None:
    """Return the wait in seconds that a Retry-After header asks for, from 0 to `maximum`.
    None if it is missing or invalid.

    It may be seconds, an HTTP date, or an ISO time (Jira: X-RateLimit-Reset).
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return _clamp(float(text), maximum)
    at = parse_http_date(text)
    if at is None:
        at = _parse_iso(text)
    return None if at is None else _clamp((at - now_ms) / 1000, maximum)


def _clamp(seconds: float, maximum: float) -> float:
    return min(max(seconds, 0.0), maximum)


def _parse_iso(text: str) -> int | None:
    try:
        time = datetime.fromisoformat(text)
        return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None

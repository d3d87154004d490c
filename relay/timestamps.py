"""Instants as ms since 1970 UTC, their ISO 8601 text, and days in UTC."""

import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_CACHED_DAYS = 1_024
"""Records of a page and events of a transaction are of a few days; three years fit."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = -62_135_596_800_000
_LATEST = 253_402_300_799_999
_TEXT = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:(Z)|([+-])(\d\d):?(\d\d)?)?", re.ASCII
)


_USUAL_TEXT = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d\.\d{3}(?:\+0000|Z)", re.ASCII)
"""How Jira Cloud writes nearly every instant. Its parts need not be looked at one by one."""


class Instant(NamedTuple):
    """An instant read from text, in ms since 1970 UTC.

    `exact`: the text has zone UTC and no digits below the millisecond, so `to_iso(ms)` loses nothing of it.
    """

    ms: int
    exact: bool


def now_ms() -> int:
    """Return the current time of this machine, in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


def parse_iso(text: str) -> Instant | None:
    """Parse ISO 8601 as Jira writes it: `+0000`, `Z` or `+02:00`, with or without seconds, fractions cut to ms.

    Text without a zone counts as UTC and is not exact. None if it is not an instant of the years 1 to 9999.
    """
    if _USUAL_TEXT.fullmatch(text):
        return _parse_usual(text)
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    date, hour, minute, second, fraction, utc, sign, offset_hours, offset_minutes = match.groups()
    hours, minutes, seconds = int(hour), int(minute), int(second or 0)
    start = _day_start_or_none(date)
    if start is None or hours > 23 or minutes > 59 or seconds > 59:
        return None
    offset = 0
    if sign:
        offset = (int(offset_hours) * 60 + int(offset_minutes or 0)) * (-60_000 if sign == "-" else 60_000)
    ms = start + ((hours * 60 + minutes) * 60 + seconds) * 1000 + int(f"{fraction or ''}000"[:3]) - offset
    exact = bool(utc or (sign and not offset)) and not (fraction or "")[3:].strip("0")
    return Instant(ms, exact) if is_instant(ms) else None


def _parse_usual(text: str) -> Instant | None:
    try:
        return Instant(round(datetime.fromisoformat(text).timestamp() * 1000), exact=True)
    except ValueError:
        return None


def parse_http_date(text: str | None) -> int | None:
    """Return the instant of an HTTP date in ms. None: it is missing, or no date.

    A date without a zone counts as UTC: an HTTP date is always in GMT (RFC 9110, 5.6.7).
    """
    try:
        found = parsedate_to_datetime(text or "")
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def is_instant(ms: int) -> bool:
    """Return whether `ms` lies in the years 1 to 9999."""
    return _EARLIEST <= ms <= _LATEST


def to_iso(ms: int) -> str:
    """Return an instant as `2026-11-23T09:30:00.000Z`.

    The zone is always written: without one, Jira's gateway answers 200 with no records.
    """
    return f"{(_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec='milliseconds')[:-6]}Z"


def to_iso_any(ms: int) -> str:
    """Return any number of ms as an instant, or as that number: Kafka accepts any as a timestamp."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms since 1970"


def to_iso_seconds(ms: int) -> str:
    """Return an instant as `2026-11-23T09:30:00Z`, cut to seconds."""
    return f"{(_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec='seconds')[:-6]}Z"


def day_of(ms: int) -> str:
    """Return the UTC day of an instant, as `2026-11-23`."""
    return _day_name(ms // DAY_MS)


@lru_cache(maxsize=_CACHED_DAYS)
def _day_name(number: int) -> str:
    """Return the day of a number of days since 1970."""
    return (_EPOCH + timedelta(days=number)).date().isoformat()


@lru_cache(maxsize=_CACHED_DAYS)
def day_start(day: str) -> int:
    """Return the first instant of a day such as `2026-11-23`, in ms. Raises ValueError for other text."""
    return (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=_CACHED_DAYS)
def _day_start_or_none(day: str) -> int | None:
    """Return the first instant of a day of the form `2026-11-23`. None: the calendar has no such day."""
    try:
        return day_start(day)
    except ValueError:
        return None

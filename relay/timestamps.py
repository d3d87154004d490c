"""Instants as text: what Jira writes, and what is asked of it."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAY_MS = 86_400_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = -62_135_596_800_000
_LATEST = 253_402_300_799_999
_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:(Z)|([+-])(\d\d):?(\d\d)?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Instant:
    """`exact`: the text says no more than the milliseconds: its zone is UTC, its fraction ends there."""

    ms: int
    exact: bool


def now_ms() -> int:
    """Return the current time of this machine, in ms since 1970."""
    return time.time_ns() // 1_000_000


def parse_iso(text: str) -> Instant | None:
    """Read ISO 8601 in the forms Jira uses: `+0000`, `Z`, `+02:00`, fractions of any length (cut to ms), no seconds.

    Without a zone it is UTC, and not exact. None: no instant of the years 1 to 9999.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, utc, sign, offset_hours, offset_minutes = match.groups()
    try:
        local = datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}+00:00")
    except ValueError:
        return None
    offset = (int(offset_hours or 0) * 60 + int(offset_minutes or 0)) * (-60_000 if sign == "-" else 60_000)
    ms = (local - _EPOCH) // timedelta(milliseconds=1) + int(f"{fraction or ''}000"[:3]) - offset
    exact = bool(utc or (sign and not offset)) and not (fraction or "")[3:].strip("0")
    return Instant(ms, exact) if is_instant(ms) else None


def is_instant(ms: int) -> bool:
    """Whether it lies in the years 1 to 9999."""
    return _EARLIEST <= ms <= _LATEST


def to_iso(ms: int) -> str:
    """`2026-11-23T09:30:00.000Z`; the zone is always said, since without one Jira's gateway answers 200 and nothing."""
    return f"{(_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec='milliseconds')[:-6]}Z"


def day_of(ms: int) -> str:
    """The day in UTC, as `2026-11-23`."""
    return (_EPOCH + timedelta(milliseconds=ms)).date().isoformat()


def day_start(day: str) -> int:
    """First instant of a day written as `2026-11-23`; a ValueError for anything else."""
    return (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)

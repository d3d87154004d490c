"""Instants as text. Every integer has a text: a source's clock may report any time."""

from relay.timestamps import DAY_MS, is_instant, to_iso

_UNITS = ((DAY_MS, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def iso_seconds(ms: int | None) -> str:
    """Return ISO 8601 in UTC, to the second, for people. None gives `none`; outside the years 1 to 9999, the number of ms."""
    if ms is None:
        return "none"
    return f"{to_iso(ms)[:19]}Z" if is_instant(ms) else f"{ms} ms after 1970"


def iso_milliseconds(ms: int | None) -> str | None:
    """Return ISO 8601 in UTC, to the ms, for machines. None gives None, as does an instant outside the years 1 to 9999."""
    return to_iso(ms) if ms is not None and is_instant(ms) else None


def age(ms: int | None, now_ms: int) -> str:
    """Return how long ago an instant was, in its largest unit: `3 min ago`, `in 2 h`, `now`. None gives an empty text."""
    if ms is None:
        return ""
    distance = abs(now_ms - ms)
    for unit_ms, unit in _UNITS:
        if distance >= unit_ms:
            count = f"{distance // unit_ms} {unit}"
            return f"{count} ago" if ms <= now_ms else f"in {count}"
    return "now"


def duration(ms: int) -> str:
    """Return a duration in its largest unit: `3 min`. Below a second: `less than 1 s`."""
    found = next((f"{ms // unit_ms} {unit}" for unit_ms, unit in _UNITS if ms >= unit_ms), None)
    return found or "less than 1 s"

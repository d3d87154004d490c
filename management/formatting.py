"""Instants as text. Every integer has a text: Jira's clock may report any time."""

from relay.timestamps import is_instant, to_iso


def iso_seconds(ms: int | None) -> str:
    """Return ISO 8601 in UTC, to the second, for people. None gives `none`; outside the years 1 to 9999, the number of ms."""
    if ms is None:
        return "none"
    return f"{to_iso(ms)[:19]}Z" if is_instant(ms) else f"{ms} ms after 1970"


def iso_milliseconds(ms: int | None) -> str | None:
    """Return ISO 8601 in UTC, to the ms, for machines. None gives None, as does an instant outside the years 1 to 9999."""
    return to_iso(ms) if ms is not None and is_instant(ms) else None

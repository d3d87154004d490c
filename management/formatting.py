"""How things are told to an operator."""

from relay.timestamps import is_instant, to_iso


def iso_seconds(ms: int | None) -> str:
    """ISO 8601 in UTC, to the second; `none` where there is none."""
    if ms is None:
        return "none"
    return f"{to_iso(ms)[:19]}Z" if is_instant(ms) else f"{ms} ms after 1970"


def iso_milliseconds(ms: int | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond, for machines."""
    return to_iso(ms) if ms is not None and is_instant(ms) else None

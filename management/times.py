"""Times as an operator writes them."""

import re

from management.organizations.validation import InputError
from relay.timestamps import parse_iso

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MAX_ZONE_HOURS = 14
_SPACED = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\S+?) ?(Z|[+-]\d\d:?(?:\d\d)?)?", re.ASCII)


def parse_time(text: str) -> int:
    """Return an instant in ms UTC. A day is its first instant; without a zone, the text is UTC. Raises InputError.

    The text is ISO 8601 with a zone such as `Z`, `+02:00` or `+0200`; a space may be in place of the `T` and before the zone.
    """
    given = text.strip().upper()
    spaced = _SPACED.fullmatch(given)
    if _DAY.fullmatch(given):
        given = f"{given}T00:00"
    elif spaced:
        given = f"{spaced[1]}T{spaced[2]}{spaced[3] or ''}"
    found = None if _is_no_zone(spaced[3] if spaced else None) else parse_iso(given)
    if found is None:
        raise InputError(
            f"{text} is no time. Write a day or a time of ISO 8601, such as 2026-11-25 or 2026-11-25T08:00Z; without a zone it is UTC."
        )
    return found.ms


def _is_no_zone(zone: str | None) -> bool:
    """Return whether a zone is none on Earth; `parse_iso` takes the zones of sources as they are."""
    if zone is None or zone == "Z":
        return False
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return int(digits[:2]) > _MAX_ZONE_HOURS or int(digits[2:]) > 59

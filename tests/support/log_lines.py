"""Captured log lines, as the operator of a service at level info sees them."""

from collections.abc import Iterable, Mapping
from typing import Any


def shown(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str | None]]:
    """Return level, message and the field `lasting` of each line above debug; None: the line has no such field."""
    return [
        (line["log_level"], line["event"], line.get("lasting"))
        for line in lines
        if line["log_level"] != "debug"
    ]

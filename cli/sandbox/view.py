"""How things look; nothing is read or written here."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from cli.sandbox.watch import Sight

_COLUMNS = ("organization", "state", "last event", "complete up to", "in Kafka", "accepted", "lag")
_COLOURS = {"active": "green", "failing": "red", "waiting": "yellow"}
_LONGEST_SHOWN = 200


def table(sights: Sequence[Sight], now_ms: int) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(_COLUMNS):
        made.add_column(name, justify="right" if number > 3 else "left", no_wrap=True)
    for sight in sights:
        cells = _cells(sight, now_ms)
        made.add_row(cells[0], Text(cells[1], _COLOURS.get(sight.state, "")), *cells[2:])
    return made


def line(sight: Sight, now_ms: int) -> str:
    """The same for one organization without a terminal."""
    name, state, *values = _cells(sight, now_ms)
    named = (f"{label} {value}" for label, value in zip(_COLUMNS[2:], values, strict=True))
    return f"{name} {state}: {', '.join(named)}"


def _cells(sight: Sight, now_ms: int) -> list[str]:
    counts = (sight.in_kafka, sight.accepted, sight.lag)
    times = (clock(sight.last_event, now_ms), clock(sight.complete_up_to, now_ms))
    return [sight.organization, sight.state, *times, *(f"{count:,}" for count in counts)]


def clock(ms: int | None, now_ms: int) -> str:
    """A moment as it is told by this machine's clock; of other days the date alone."""
    if ms is None:
        return "-"
    try:
        at, now = (datetime.fromtimestamp(each / 1000, UTC).astimezone() for each in (ms, now_ms))
    except (OverflowError, ValueError, OSError):
        return "-"
    return f"{at:%H:%M:%S}" if at.date() == now.date() else at.date().isoformat()


def side_by_side(record: Mapping[str, Any], row: Mapping[str, Any], table_name: str) -> Table:
    """A Jira record and what became of it."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    made.add_column("A record of Jira", ratio=1, overflow="fold")
    made.add_column(f"its row in {table_name}", ratio=1, overflow="fold")
    made.add_row(_members(record), _members({name: row[name] for name in row if row[name] is not None}))
    return made


def _members(values: Mapping[str, Any]) -> Text:
    text = Text()
    for name, value in values.items():
        text.append(f"{printable(name)}: ", "dim")
        text.append(f"{_shown(value)}\n")
    text.rstrip()
    return text


def _shown(value: Any) -> str:
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def printable(text: str) -> str:
    """Nothing in it commands a terminal or cannot be written."""
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)

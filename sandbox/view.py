"""How things look; nothing is read or written here."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from sandbox.observer import Sight

_COLUMNS = ("organization", "state", "last event", "complete up to", "in Kafka", "accepted", "lag")
_COLUMNS_OF = {
    "id": ("EventId", "EventUid"),
    "created": ("EventCreationTime",),
    "summary": ("EventMessage",),
    "description": ("EventDescription",),
    "category": ("EventCategoryType",),
    "eventSource": ("EventSource",),
    "remoteAddress": ("SrcIpAddr",),
    "authorKey": ("UserName",),
    "authorAccountId": ("UserSid",),
    "objectItem": (
        "objectItem",
        "ObjectItemId",
        "ObjectItemName",
        "ObjectItemTypeName",
        "ObjectItemParentId",
        "ObjectItemParentName",
    ),
    "changedValues": ("ChangedValues",),
    "associatedItems": ("AssociatedItems",),
}
"""Members of a record, and what they are at the sink."""
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


def beside(stamp: str, text: str) -> Table:
    """A sentence that wraps beside its time, not below it."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column()
    made.add_row(stamp, Text(text))
    return made


def side_by_side(record: Mapping[str, Any], row: Mapping[str, Any], table_name: str) -> Table:
    """A Jira record and what became of it, member by member."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    made.add_column(f"A record of {printable(str(row['Organization']))}", ratio=2, no_wrap=True)
    made.add_column(f"its row in {table_name}", ratio=3, no_wrap=True)
    for member, column in _pairs(record, {name: value for name, value in row.items() if value is not None}):
        made.add_row(
            _member(member, record[member]) if member else "", _member(column, row[column]) if column else ""
        )
    return made


def _pairs(record: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[tuple[str | None, str | None]]:
    """Members of the record and columns of the row, what belongs together side by side."""
    rest = dict.fromkeys(row)
    for member in dict.fromkeys([*_COLUMNS_OF, *record]):
        columns = [column for column in _COLUMNS_OF.get(member, ()) if column in row]
        yield from itertools.zip_longest([member] if member in record else [], columns)
        for column in columns:
            del rest[column]
    for column in rest:
        yield None, column


def _member(name: str, value: Any) -> Text:
    text = Text(overflow="ellipsis", no_wrap=True)
    text.append(f"{printable(name)}: ", "dim")
    text.append(printable(json.dumps(value, ensure_ascii=False))[:_LONGEST_SHOWN])
    return text


def printable(text: str) -> str:
    """Nothing in it commands a terminal or cannot be written."""
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)

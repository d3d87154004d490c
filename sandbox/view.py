"""Tables and lines of the screen, as values: this module reads and prints nothing."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from sandbox.observer import OrganizationSnapshot

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
"""Columns of the destination for each member of a record."""
_COLOURS = {"active": "green", "failing": "red", "waiting": "yellow"}
_MAX_VALUE_LENGTH = 200


def render_table(snapshots: Sequence[OrganizationSnapshot], now_ms: int) -> Table:
    """Return the table of organizations. `now_ms` is ms UTC."""
    rendered = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(_COLUMNS):
        rendered.add_column(name, justify="right" if number > 3 else "left", no_wrap=True)
    for snapshot in snapshots:
        cells = _cells(snapshot, now_ms)
        rendered.add_row(cells[0], Text(cells[1], _COLOURS.get(snapshot.state, "")), *cells[2:])
    return rendered


def render_line(snapshot: OrganizationSnapshot, now_ms: int) -> str:
    """Return the row of one organization as a line of text."""
    name, state, *values = _cells(snapshot, now_ms)
    named = (f"{label} {value}" for label, value in zip(_COLUMNS[2:], values, strict=True))
    return f"{name} {state}: {', '.join(named)}"


def _cells(snapshot: OrganizationSnapshot, now_ms: int) -> list[str]:
    counts = (snapshot.in_kafka, snapshot.accepted, snapshot.lag)
    times = (format_clock(snapshot.last_event, now_ms), format_clock(snapshot.complete_up_to, now_ms))
    return [snapshot.organization, snapshot.state, *times, *(f"{count:,}" for count in counts)]


def format_clock(ms: int | None, now_ms: int) -> str:
    """Return an instant (ms UTC) as local time of day, or as a date if it is of another day; "-" for None."""
    if ms is None:
        return "-"
    try:
        at, now = (datetime.fromtimestamp(each / 1000, UTC).astimezone() for each in (ms, now_ms))
    except (OverflowError, ValueError, OSError):
        return "-"
    return f"{at:%H:%M:%S}" if at.date() == now.date() else at.date().isoformat()


def render_beside(stamp: str, text: str) -> Table:
    """Return a sentence that wraps beside its time, not below it."""
    rendered = Table.grid(padding=(0, 2))
    rendered.add_column(style="dim", no_wrap=True)
    rendered.add_column()
    rendered.add_row(stamp, Text(text))
    return rendered


def render_side_by_side(record: Mapping[str, Any], row: Mapping[str, Any], table_name: str) -> Table:
    """Return a table of a Jira record and its row, each member beside its columns."""
    rendered = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    rendered.add_column(f"Record of {escape_controls(str(row['Organization']))}", ratio=2, no_wrap=True)
    rendered.add_column(f"Row in {table_name}", ratio=3, no_wrap=True)
    for member, column in _pair_members(
        record, {name: value for name, value in row.items() if value is not None}
    ):
        rendered.add_row(
            _render_member(member, record[member]) if member else "",
            _render_member(column, row[column]) if column else "",
        )
    return rendered


def _pair_members(
    record: Mapping[str, Any], row: Mapping[str, Any]
) -> Iterator[tuple[str | None, str | None]]:
    """Yield each member of the record with its column, then the columns that no member fills."""
    rest = dict.fromkeys(row)
    for member in dict.fromkeys([*_COLUMNS_OF, *record]):
        columns = [column for column in _COLUMNS_OF.get(member, ()) if column in row]
        yield from itertools.zip_longest([member] if member in record else [], columns)
        for column in columns:
            del rest[column]
    for column in rest:
        yield None, column


def _render_member(name: str, value: Any) -> Text:
    text = Text(overflow="ellipsis", no_wrap=True)
    text.append(f"{escape_controls(name)}: ", "dim")
    text.append(escape_controls(json.dumps(value, ensure_ascii=False))[:_MAX_VALUE_LENGTH])
    return text


def escape_controls(text: str) -> str:
    """Escape every character that is not printable, so that no text can control the terminal."""
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)

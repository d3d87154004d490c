"""Tables and lines of the screen, as values: this module reads and prints nothing."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from sandbox.destinations.contract import DeliveredRow, DestinationPeer
from sandbox.observer import OrganizationSnapshot

_COLUMNS = ("organization", "state", "last event", "complete up to", "in Kafka")
_COLOURS = {"active": "green", "failing": "red", "waiting": "yellow"}
_MAX_VALUE_LENGTH = 200


def render_table(snapshots: Sequence[OrganizationSnapshot], now_ms: int) -> Table:
    """Return the table of organizations. `now_ms` is ms UTC."""
    rendered = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    destinations = snapshots[0].accepted if snapshots else ()
    for number, name in enumerate((*_COLUMNS, *destinations, "lag")):
        rendered.add_column(name, justify="right" if number > 3 else "left", no_wrap=True)
    for snapshot in snapshots:
        cells = list(_cells(snapshot, now_ms).values())
        rendered.add_row(cells[0], Text(cells[1], _COLOURS.get(snapshot.state, "")), *cells[2:])
    return rendered


def render_line(snapshot: OrganizationSnapshot, now_ms: int) -> str:
    """Return the row of one organization as a line of text."""
    (_, name), (_, state), *values = _cells(snapshot, now_ms).items()
    return f"{name} {state}: {', '.join(f'{label} {value}' for label, value in values)}"


def _cells(snapshot: OrganizationSnapshot, now_ms: int) -> dict[str, str]:
    """Return the text of each column, by its name."""
    times = (format_clock(snapshot.last_event, now_ms), format_clock(snapshot.complete_up_to, now_ms))
    texts = (snapshot.organization, snapshot.state, *times, f"{snapshot.in_kafka:,}")
    accepted = {name: f"{count:,}" for name, count in snapshot.accepted.items()}
    return {**dict(zip(_COLUMNS, texts, strict=True)), **accepted, "lag": f"{snapshot.lag:,}"}


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


def render_side_by_side(
    organization: str,
    record: Mapping[str, Any],
    destination: str,
    peer: DestinationPeer,
    delivered: DeliveredRow,
) -> Table:
    """Return a table of a Jira record and its row at a destination, each member beside those that it fills."""
    rendered = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    place = peer.place(history=delivered.history)
    rendered.add_column(f"Record of {escape_controls(organization)}", ratio=2, no_wrap=True)
    rendered.add_column(f"Row in {destination}: {place}", ratio=3, no_wrap=True)
    row = {name: value for name, value in delivered.row.items() if value is not None}
    for member, column in _pair_members(record, row, peer.members):
        rendered.add_row(
            _render_member(member, record[member]) if member else "",
            _render_member(column, row[column]) if column else "",
        )
    return rendered


def _pair_members(
    record: Mapping[str, Any], row: Mapping[str, Any], filled: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str | None, str | None]]:
    """Yield each member of the record with those of the row that it fills, then those that no member fills."""
    rest = dict.fromkeys(row)
    for member in dict.fromkeys([*filled, *record]):
        columns = [column for column in filled.get(member, (member,)) if column in rest]
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

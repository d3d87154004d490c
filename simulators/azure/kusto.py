"""Values and transforms of Azure Monitor: the conversion to a column's type, and the operators of the relay's transforms.

A value that does not fit its column becomes null, without an error.
Source: https://learn.microsoft.com/azure/data-explorer/ingest-invalid-data
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

_INT = 2**31
_LONG = 2**63
_NUMBER = re.compile(r"\s*[+-]?\d+\s*")
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?\s?(Z|[+-]\d\d:\d\d)?)?"
)


def coerce(value: Any, kind: str) -> Any:
    """Return a JSON value as a column of type `kind` stores it; None if it does not fit."""
    return None if value is None else _COERCIONS[kind](value)


def _to_string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _to_integer(value: Any, bound: int) -> int | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -bound <= value < bound else None


def _to_real(value: Any) -> float | None:
    try:
        return None if isinstance(value, (bool, list, dict)) else float(value)
    except (ValueError, OverflowError):
        return None


def _to_boolean(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, (bool, int)) else None


def _to_datetime(value: Any) -> str | None:
    """Return a datetime as ISO 8601 in UTC, or None.

    No source says whether Azure reads an offset without a colon (`+0000`, as Jira writes it), so it is refused.
    """
    if not isinstance(value, str):
        return None
    match = _INSTANT.fullmatch(value.strip())
    if match is None:
        return None
    *numbers, fraction, zone = match.groups()
    try:
        moment = datetime(*(int(number or 0) for number in numbers), tzinfo=_parse_zone(zone)).astimezone(UTC)  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        return None
    digits = (fraction or "").ljust(3, "0")
    return (
        f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}.{digits[:3]}{digits[3:].rstrip('0')}Z"
    )


def _parse_zone(text: str | None) -> timezone:
    if text in {None, "Z"}:
        return UTC
    sign = -1 if text.startswith("-") else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))


_COERCIONS: dict[str, Callable[[Any], Any]] = {
    "string": _to_string,
    "int": lambda value: _to_integer(value, _INT),
    "long": lambda value: _to_integer(value, _LONG),
    "real": _to_real,
    "boolean": _to_boolean,
    "datetime": _to_datetime,
    "dynamic": lambda value: value,
}

Row = dict[str, Any]
Compute = Callable[[Row, str], Any]


class KqlError(Exception):
    """A transform is invalid, or has an operator that is not simulated."""


@dataclass(frozen=True, slots=True)
class Transform:
    """A compiled transform. `columns` has name and type of each output column.

    A call changes the row in place; `now` is ISO 8601.
    """

    columns: Mapping[str, str]
    _assignments: tuple[tuple[str, Compute], ...]

    def __call__(self, row: Row, now: str) -> None:
        row.update([(name, compute(row, now)) for name, compute in self._assignments])


def parse_transform(kql: str, columns: Mapping[str, str]) -> Transform:
    """Compile `source | extend A = f(B), C = d.e`, with now, toint, tolong, tostring and todatetime.

    Raises KqlError when the transform is invalid or has another operator.
    """
    head, *steps = [step.strip() for step in kql.split("|")]
    if head != "source" or len(steps) > 1:
        raise KqlError(f"only `source | extend …` is simulated, not {kql!r}")
    produced, assignments = dict(columns), []
    for assignment in _split_assignments(steps):
        name, _, text = (part.strip() for part in assignment.partition("="))
        kind, compute = _parse_expression(text, columns)
        produced[name] = kind
        assignments.append((name, compute))
    return Transform(produced, tuple(assignments))


def _split_assignments(steps: list[str]) -> list[str]:
    if not steps:
        return []
    operator, _, rest = steps[0].partition(" ")
    if operator != "extend":
        raise KqlError(f"the operator {operator!r} is not simulated")
    return rest.split(",")


def _parse_expression(text: str, columns: Mapping[str, str]) -> tuple[str, Compute]:
    if text == "now()":
        return "datetime", lambda _row, now: now
    if call := re.fullmatch(r"to(int|long|string|datetime)\((.+)\)", text):
        kind, (_, inner) = call[1], _parse_expression(call[2].strip(), columns)
        return kind, lambda row, now: _cast(inner(row, now), kind)
    if path := re.fullmatch(r"(\w+)\.(\w+)", text):
        return "dynamic", _member_of(_column(path[1], columns, "dynamic"), path[2])
    name = _column(text, columns)
    return columns[name], lambda row, _now: row.get(name)


def _cast(value: Any, kind: str) -> Any:
    if kind == "string" and value is None:
        return ""
    return coerce(value, kind)


def _member_of(column: str, member: str) -> Compute:
    def compute(row: Row, _now: str) -> Any:
        value = row.get(column)
        return value.get(member) if isinstance(value, dict) else None

    return compute


def _column(name: str, columns: Mapping[str, str], kind: str | None = None) -> str:
    if name not in columns or (kind is not None and columns[name] != kind):
        raise KqlError(f"{name!r} is not a column" + (f" of type {kind}" if kind else ""))
    return name

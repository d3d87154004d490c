"""Values that a destination would cut without a word are cut here, with a mark that names the column."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

_SMALLEST = 256


def cut_row(row: Mapping[str, Any], value_bytes: int, row_bytes: int) -> bytes:
    """The row as JSON of at most `row_bytes`, no value above `value_bytes`: strings in UTF-8, other values as JSON text."""
    while True:
        encoded = orjson.dumps({name: _cut(value, name, value_bytes) for name, value in row.items()})
        if len(encoded) <= row_bytes or value_bytes <= _SMALLEST:
            return encoded
        value_bytes //= 2


def _cut(value: Any, column: str, limit: int) -> Any:
    match value:
        case str():
            return _cut_text(value, column, limit)
        case list() | dict() if _size(value) > limit:
            return _cut_nested(value, column, limit)
        case _:
            return value


def _cut_text(text: str, column: str, limit: int) -> str:
    size = len(text.encode())
    if size <= limit:
        return text
    mark = f"… [{column} was cut by jira-relay: {size} bytes]"
    return text.encode()[: max(limit - len(mark.encode()), 0)].decode(errors="ignore") + mark


def _cut_nested(value: Any, column: str, limit: int) -> Any:
    """First long texts within it become shorter, then a list loses its last items."""
    bound = limit
    while _size(value) > limit and bound > _SMALLEST:
        bound //= 2
        value = _with_texts(value, column, bound)
    return _shortened(value, column, limit) if isinstance(value, list) else value


def _with_texts(value: Any, column: str, bound: int) -> Any:
    match value:
        case str():
            return _cut_text(value, column, bound)
        case list():
            return [_with_texts(each, column, bound) for each in value]
        case dict():
            return {name: _with_texts(each, column, bound) for name, each in value.items()}
        case _:
            return value


def _shortened(items: list[Any], column: str, limit: int) -> list[Any]:
    kept, size = 0, _SMALLEST  # room for the mark
    sizes = [_size(item) + 2 for item in items]
    if sum(sizes) <= limit:
        return items
    while kept < len(items) and size + sizes[kept] <= limit:
        size += sizes[kept]
        kept += 1
    name = "fieldName" if "fieldName" in items[0] else "name"
    mark = f"[{column} was cut by jira-relay: {kept} of {len(items)} items]"
    return [*items[:kept], {name: mark}]


def _size(value: Any) -> int:
    """Of its JSON text in its longest usual form, with spaces after commas and colons."""
    return len(json.dumps(value, ensure_ascii=False).encode())

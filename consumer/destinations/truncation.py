"""Truncation of values that a destination would truncate silently, with a mark that names the column."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

_MIN_BYTES = 256


def truncate_row(row: Mapping[str, Any], value_bytes: int, row_bytes: int) -> bytes:
    """Return the row as JSON of at most `row_bytes` bytes, no value above `value_bytes` bytes of UTF-8 or JSON text."""
    while True:
        encoded = orjson.dumps({name: _truncate(value, name, value_bytes) for name, value in row.items()})
        if len(encoded) <= row_bytes or value_bytes <= _MIN_BYTES:
            return encoded
        value_bytes //= 2


def truncate_texts(row: Mapping[str, Any], text_bytes: int, row_bytes: int) -> bytes:
    """Return the row as JSON of at most `row_bytes` bytes, no text at any depth above `text_bytes` bytes of UTF-8.

    Lists of objects lose their last items where shorter texts are not enough.
    """
    list_bytes = row_bytes
    while True:
        cut = {name: _truncate_depths(value, name, text_bytes, list_bytes) for name, value in row.items()}
        encoded = orjson.dumps(cut)
        if len(encoded) <= row_bytes or list_bytes <= _MIN_BYTES:
            return encoded
        if text_bytes > _MIN_BYTES:
            text_bytes //= 2
        else:
            list_bytes //= 2


def _truncate_depths(value: Any, name: str, text_limit: int, list_limit: int) -> Any:
    match value:
        case str():
            return _truncate_text(value, name, text_limit)
        case [dict(), *_]:
            items = [_truncate_depths(each, name, text_limit, list_limit) for each in value]
            return _truncate_list(items, name, list_limit)
        case list():
            return [_truncate_depths(each, name, text_limit, list_limit) for each in value]
        case dict():
            return {key: _truncate_depths(each, key, text_limit, list_limit) for key, each in value.items()}
        case _:
            return value


def _truncate(value: Any, column: str, limit: int) -> Any:
    match value:
        case str():
            return _truncate_text(value, column, limit)
        case list() | dict() if _json_bytes(value) > limit:
            return _truncate_nested(value, column, limit)
        case _:
            return value


def _truncate_text(text: str, column: str, limit: int) -> str:
    size = len(text.encode())
    if size <= limit:
        return text
    mark = f"… [{column} was cut by jira-relay: {size} bytes]"
    return text.encode()[: max(limit - len(mark.encode()), 0)].decode(errors="ignore") + mark


def _truncate_nested(value: Any, column: str, limit: int) -> Any:
    """Shorten long texts of a list first, then it loses its last items. The long members of an object are shortened alone."""
    if isinstance(value, dict):
        return _truncate_members(value, column, limit)
    text_limit = limit
    while _json_bytes(value) > limit and text_limit > _MIN_BYTES:
        text_limit //= 2
        value = _truncate_texts(value, column, text_limit)
    return _truncate_list(value, column, limit)


def _truncate_members(whole: dict[str, Any], column: str, limit: int) -> dict[str, Any]:
    """Halve the longest that a member may be until the object fits; shorter members stay whole."""
    value, member_limit = whole, limit
    while _json_bytes(value) > limit and member_limit > _MIN_BYTES:
        member_limit //= 2
        value = {name: _truncate(each, column, member_limit) for name, each in whole.items()}
    return value


def _truncate_texts(value: Any, column: str, text_limit: int) -> Any:
    match value:
        case str():
            return _truncate_text(value, column, text_limit)
        case list():
            return [_truncate_texts(each, column, text_limit) for each in value]
        case dict():
            return {name: _truncate_texts(each, column, text_limit) for name, each in value.items()}
        case _:
            return value


def _truncate_list(items: list[Any], column: str, limit: int) -> list[Any]:
    kept, size = 0, _MIN_BYTES  # room for the mark
    sizes = [_json_bytes(item) + 2 for item in items]
    if sum(sizes) <= limit:
        return items
    while kept < len(items) and size + sizes[kept] <= limit:
        size += sizes[kept]
        kept += 1
    name = next((name for name in ("fieldName", "key") if name in items[0]), "name")
    mark = f"[{column} was cut by jira-relay: {kept} of {len(items)} items]"
    return [*items[:kept], {name: mark}]


def _json_bytes(value: Any) -> int:
    """Return the bytes of the JSON text in its longest usual form, with spaces after commas and colons."""
    return len(json.dumps(value, ensure_ascii=False).encode())

"""Columns as the text of JSON objects."""

from collections.abc import Mapping

import polars as pl

_NAME_PATTERN = '["A-Za-z0-9_@]+"'


def iso_time(value: pl.Expr) -> pl.Expr:
    """Write a Datetime in UTC as ISO 8601 with milliseconds."""
    # Without a zone: polars would look up the offset of each time otherwise, which takes as long as writing it.
    return value.dt.replace_time_zone(None).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def json_object(columns: Mapping[str, pl.Expr]) -> pl.Expr:
    """Write one JSON object a row; members that are null are left out, within nested objects too.

    Names may hold ASCII letters, digits, `_` and `@` only.
    """
    return without_nulls(json_text(columns))


def json_text(columns: Mapping[str, pl.Expr]) -> pl.Expr:
    """Write one JSON object a row, with its nulls."""
    return pl.struct([value.alias(name) for name, value in columns.items()]).struct.json_encode()


def without_nulls(text: pl.Expr) -> pl.Expr:
    """Leave out the members that are null, in a JSON text without blanks; names as `json_object` allows."""
    # 1. `"name":null` cannot occur within a JSON string, since quotes are escaped there.
    # 2. The pattern does not begin with a quote alone: quotes are many and nulls are few, and the search would take twice
    #    the time.
    text = text.str.replace_all(f"{_NAME_PATTERN}:null,", "")
    return text.str.replace_all(f",?{_NAME_PATTERN}:null}}", "}")

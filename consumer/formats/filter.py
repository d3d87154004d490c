"""The filter of a destination: an SQL condition on one event, checked before any event is read."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from polars.exceptions import PanicException, SQLInterfaceError, StructFieldNotFoundError

from consumer.formats.filter_growth import growth_fault, size_fault
from consumer.formats.replay_mark import REPLAY_ID
from relay.errors import one_line

_DEFECTS = (Exception, PanicException)  # a panic of polars is no Exception

# Polars opens files while it parses a subquery: `(SELECT a FROM read_csv('/etc/passwd'))` reads the file (tried with 2.1).
# So the text is refused before it is parsed, and the words also within quotes: a lexer of our own could be misled.
_QUERY = re.compile(r"\bselect\b|\(\s*from\b|\b(?:read|scan)_\w*\s*\(|--|/\*", re.IGNORECASE)
_CLOCK = re.compile(
    r"\b(?:now\s*\(|current_(?:date|time|timestamp)\b|localtime(?:stamp)?\b|today\s*\()", re.IGNORECASE
)
_UNKNOWN_FUNCTION = re.compile(r"unsupported function '(\w+)'")
_SUBSCRIPT = re.compile(r"Subscript|field access")
_NO_SUBSCRIPT = "reads into a list of objects: use associatedTypes, associatedNames or changedFields, as in 'USER' = ANY(associatedTypes)"
_TIME_AND_TEXT = re.compile(r"cannot compare 'date/datetime/time' to a string")
_WRITE_TIMES = (
    "compares a time with a text: write the time as TIMESTAMP '2026-01-31 00:00:00' or DATE '2026-01-31'"
)

FUNCTIONS = (
    *("ABS", "ARRAY_CONTAINS", "ARRAY_GET", "ARRAY_LENGTH", "ARRAY_TO_STRING", "CEIL", "COALESCE"),
    *("CONCAT", "CONCAT_WS", "DATE_PART", "ENDS_WITH", "FLOOR", "GREATEST", "IF", "IFNULL"),
    *("LEAST", "LEFT", "LENGTH", "LOWER", "LTRIM", "MOD", "NULLIF", "OCTET_LENGTH", "REGEXP_LIKE"),
    *("REPLACE", "RIGHT", "ROUND", "RTRIM", "SPLIT_PART", "STARTS_WITH", "STRFTIME", "STRPOS"),
    *("SUBSTR", "TRIM", "UPPER"),
)
"""Functions that the messages suggest and docs/destinations/filters.md lists; tests try each of them."""

_PLAIN_FUNCTIONS = frozenset(
    {"Abs", "Floor", "Ceil", "Sign", "Coalesce", "FillNull", "MaxHorizontal", "MinHorizontal"}
)
_FAMILIES = frozenset(
    {"StringExpr", "ListExpr", "TemporalExpr", "StructExpr", "Boolean", "Sql", "Pow", "FillNull"}
)
_OF_SEVERAL_EVENTS = frozenset(
    {"ConcatVertical", "Any", "All", "IsUnique", "IsDuplicated", "IsFirstDistinct", "IsLastDistinct"}
)

_YEAR_1_MS, _YEAR_9999_MS = -62_135_596_800_000, 253_402_300_799_999


class FilterError(ValueError):
    """The condition cannot be a filter; the message has the cause, and ends with the correction."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition, and the columns that it reads."""

    expression: pl.Expr
    columns: tuple[str, ...]

    def mask(self, events: pl.DataFrame) -> pl.Series:
        """Return for each event true, false or null; null means that the condition is neither. Raises what polars raises."""
        return _visible(events, self.columns).with_columns(self.expression.alias(_MASK))[_MASK]


def compile_filter(where: str, event_columns: pl.Schema) -> Filter:
    """Parse an SQL condition on the columns of one event and on the helper columns, and try it on no events.

    Raises FilterError for text that is no such condition: another column, a subquery, an aggregate, a window, a value that is
    not true or false.
    """
    _check_text(where)
    try:
        expression = pl.sql_expr(where)
        tree = json.loads(expression.meta.serialize(format="json"))
    except _DEFECTS as error:
        raise FilterError(_explain_syntax(error)) from error
    check_node(tree)
    columns = tuple(dict.fromkeys(expression.meta.root_names()))
    _check_columns(where, columns, event_columns)
    compiled = Filter(expression, columns)
    _check_type(compiled, event_columns)
    _check_events_alone(compiled, event_columns)
    return compiled


def visible_columns(event_columns: pl.Schema) -> tuple[str, ...]:
    """Return the names that a condition may use."""
    return (*event_columns, *_HELPERS)


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return the advice that names the candidate nearest to `name`, or all of them."""
    by_lower = {each.lower(): each for each in candidates}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1)
    return f"did you mean {by_lower[found[0]]}?" if found else f"use one of {', '.join(by_lower.values())}"


def _check_text(where: str) -> None:
    if fault := size_fault(where):
        raise FilterError(fault)
    if _QUERY.search(where):
        raise FilterError(
            "must be one condition without a subquery, a function that reads files, or a comment; the word SELECT is refused in"
            " a text too (write LIKE '%sel_ct%')"
        )
    if _CLOCK.search(where):
        raise FilterError(
            "must not use the present time, which would be that of the start for ever; compare created with collected, or with a"
            " TIMESTAMP"
        )


def _explain_syntax(error: BaseException) -> str:
    unknown = _UNKNOWN_FUNCTION.search(str(error))
    if unknown:
        return f"has an unknown function {unknown[1].upper()}: {nearest(unknown[1], FUNCTIONS)}"
    if _SUBSCRIPT.search(str(error)):
        return _NO_SUBSCRIPT
    kind = "" if isinstance(error, SQLInterfaceError) else f"{type(error).__name__}: "
    return f"is not a condition in SQL: {kind}{one_line(str(error))}"


def check_node(node: Any) -> None:
    """Raise FilterError unless the value of an event depends on that event alone. `node`: of a serialized polars expression.

    `Expr.meta.is_row_separable` says so of MAX(id) too, so the nodes that are known to be harmless are listed here.
    """
    match node:
        case {"Column": _} | {"Literal": _}:
            return
        case {"BinaryExpr": {"left": left, "right": right}}:
            inputs = [left, right]
        case {"Ternary": {"predicate": predicate, "truthy": truthy, "falsy": falsy}}:
            inputs = [predicate, truthy, falsy]
        case {"Cast": {"expr": inner}} | {"Alias": [inner, _]} | {"Eval": {"expr": inner, "variant": "List"}}:
            inputs = [inner]
        case {"Function": {"input": list(inputs), "function": function}} if _is_of_one_event(function):
            if fault := growth_fault(function, inputs):
                raise FilterError(fault)
        case {"Selector": _}:
            raise FilterError("has a pattern for several columns: name one column at a time")
        case _:
            raise FilterError(
                f"uses {_node_name(node)}, which looks at other events than its own: write a condition on one event, without"
                " aggregates and windows"
            )
    for each in inputs:
        check_node(each)


def _is_of_one_event(function: Any) -> bool:
    match function:
        case str():
            return function in _PLAIN_FUNCTIONS
        case {**family} if len(family) == 1:
            name, member = next(iter(family.items()))
            return name in _FAMILIES and not _names(member) & _OF_SEVERAL_EVENTS
        case _:
            return False


def _names(member: Any) -> set[str]:
    return {member} if isinstance(member, str) else set(member) if isinstance(member, dict) else set()


def _node_name(node: Any) -> str:
    """Return polars' innermost name of a node: `Max` of {"Agg": {"Max": …}}."""
    match node:
        case str():
            return node
        case {"Agg": inner} | {"Function": {"function": inner}}:
            return _node_name(inner)
        case {**only} if only:
            return str(next(iter(only)))
        case _:
            return "an expression"


def _check_columns(where: str, columns: tuple[str, ...], event_columns: pl.Schema) -> None:
    if not columns:
        raise FilterError("uses no column of the event: write a condition such as category = 'permissions'")
    known = visible_columns(event_columns)
    if REPLAY_ID in columns:
        raise FilterError(
            f"reads {REPLAY_ID}, which no event has when the condition is checked: a replay sends what the condition keeps, and"
            " marks its rows afterwards. Remove it"
        )
    for name in columns:
        if name not in known and f'"{name}"' in where:
            raise FilterError(
                f"has an unknown column {name}: double quotes name a column; write a text as '{name}'"
            )
        if name not in known:
            raise FilterError(f"has an unknown column {name}: {nearest(name, known)}")


def _check_type(compiled: Filter, event_columns: pl.Schema) -> None:
    try:
        dtype = compiled.mask(event_columns.to_frame()).dtype
    except StructFieldNotFoundError as error:
        name = one_line(str(error)).split(" ")[0]
        known = _struct_fields(event_columns)
        raise FilterError(f"has an unknown field {name}: {nearest(name, known)}") from error
    except _DEFECTS as error:
        if _TIME_AND_TEXT.search(str(error)):
            raise FilterError(_WRITE_TIMES) from error
        raise FilterError(f"cannot be applied to events: {one_line(str(error))}") from error
    if dtype != pl.Boolean:
        raise FilterError(f"is a value of the type {dtype}, not true or false: compare it with something")


def _struct_fields(event_columns: pl.Schema) -> Iterator[str]:
    for dtype in event_columns.values():
        if isinstance(dtype, pl.Struct):
            yield from (field.name for field in dtype.fields)


def _check_events_alone(compiled: Filter, event_columns: pl.Schema) -> None:
    """Raise FilterError if events beside it change an event's value: the net below `check_node`.

    Events on which the condition fails prove nothing: it may fit all real ones.
    """
    sample = _sample(event_columns)
    try:
        together = compiled.mask(sample).to_list()
        alone = [compiled.mask(sample[row : row + 1]).item() for row in range(sample.height)]
    except _DEFECTS:
        return
    if together != alone:
        raise FilterError("looks at other events than its own: write a condition on one event")


def _sample(event_columns: pl.Schema) -> pl.DataFrame:
    """Return four events: without values, twice with the same ones, and with others."""
    return pl.DataFrame(
        [[_value(dtype, number) for dtype in event_columns.values()] for number in (None, 1, 1, 2)],
        schema=event_columns,
        orient="row",
    )


def _value(dtype: Any, number: int | None) -> Any:
    if number is None:
        return None
    match dtype:
        case pl.String():
            return "ab"[number - 1] * number
        case pl.List(inner=inner):
            return [_value(inner, number)] * number
        case pl.Struct(fields=fields):
            return {field.name: _value(field.dtype, number) for field in fields}
        case _:
            return number


def _visible(events: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    return events.select(_VISIBLE.get(name, pl.col(name)).alias(name) for name in names)


def _time(name: str) -> pl.Expr:
    """Return a time as TIMESTAMP literals are: in µs, without a zone. One out of the years 1 to 9999 is the nearest within."""
    value = pl.col(name).cast(pl.Int64).clip(_YEAR_1_MS, _YEAR_9999_MS)
    return value.cast(pl.Datetime("ms")).cast(pl.Datetime("us"))


def _fields(column: str, field: str) -> pl.Expr:
    return pl.col(column).list.eval(pl.element().struct.field(field))


_MASK = "selected"
_HELPERS: Mapping[str, pl.Expr] = {
    "associatedTypes": _fields("associatedItems", "typeName"),
    "associatedNames": _fields("associatedItems", "name"),
    "changedFields": _fields("changedValues", "fieldName"),
}
"""Lists of texts, since SQL has no access into lists of structs."""
_VISIBLE: Mapping[str, pl.Expr] = {"created": _time("created"), "collected": _time("collected"), **_HELPERS}

"""Conditions whose parsing or values would outgrow time, stack or memory, and so end or hold up the process. Pure."""

import re
from collections.abc import Sequence
from typing import Any

MAX_CHARS = 4_000
MAX_DEPTH = 12
MAX_OPERATORS = 500
_OPERATOR = re.compile(r"[-+*/%|&^#]")


def size_fault(where: str) -> str | None:
    """Return why the text of a condition is refused before it is parsed. None: it is small enough.

    Tried with polars 2.1: a chain of 20,000 casts overflows the stack; `not(` that is not closed takes twice as long with each
    repetition, and 1,000 additions two seconds. Texts within quotes are counted too: a lexer of our own could be misled.
    """
    if len(where) > MAX_CHARS:
        return (
            f"has {len(where):,} characters, and may have {MAX_CHARS:,}: use a pattern, such as summary LIKE '%key%', in place of"
            " many values"
        )
    depth = deepest = 0
    for char in where:
        depth = max(0, depth + (char == "(") - (char == ")"))
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        return f"has {deepest} parentheses within one another, and may have {MAX_DEPTH}: close each, and write fewer"
    if len(_OPERATOR.findall(where)) > MAX_OPERATORS:
        return f"has more than {MAX_OPERATORS} signs such as + or -: write fewer"
    return None


def growth_fault(function: Any, inputs: Sequence[Any]) -> str | None:
    """Return why a function of a serialized polars expression is refused. None: its text is hardly longer than its inputs.

    Padding may ask for any length. Replacements that make a text longer make it 10^12 times as long when twelve of them are nested.
    """
    match function:
        case {"StringExpr": {"PadStart": _} | {"PadEnd": _} | "ZFill"}:
            return "pads a text: compare the text as it is"
        case {"StringExpr": {"Replace": {"literal": True}}} if _shrinks(*inputs[1:]):
            return None
        case {"StringExpr": {"Replace": _}}:
            return (
                "replaces a part of a text by a longer one, by a value of the event, or by a pattern: give REPLACE two texts, the new"
                " one not longer than the old one"
            )
    return None


def _shrinks(old: Any, new: Any) -> bool:
    match old, new:
        case {"Literal": {"Scalar": {"String": before}}}, {"Literal": {"Scalar": {"String": after}}}:
            return bool(before) and len(after.encode()) <= len(before.encode())
    return False

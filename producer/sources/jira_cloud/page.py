"""A page of Jira's audit log, from its bytes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import isinf
from typing import Any

import orjson

from producer.events import UnreadableRecord

MAX_NESTING_LEVELS = 252  # of a record; deeper than 254 orjson refuses, and both ways must agree
MAX_INTEGER_DIGITS = 1000

_TOKEN = re.compile(r'"records"\s*:\s*\[|"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)
"""A string that is cut off is one token too: searching again from each quote in it would take hours for a long one."""
_DIGITS_AS_ZEROS = bytes.maketrans(b"0123456789", b"0" * 10)


@dataclass(frozen=True, slots=True)
class Page:
    """`records` in Jira's order: parsed JSON, or UnreadableRecord.

    `total` counts all records that Jira keeps, whatever was requested. `size` in bytes. `date_ms`: Jira's clock, from the
    Date header, in whole seconds.
    """

    records: tuple[object, ...]
    total: int | None = None
    size: int = 0
    date_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NotAPage:
    reason: str


class NotExactError(Exception):
    """The text is JSON, but Python would read another value from it."""


def parse_page_quickly(body: bytes) -> Page | None:
    """Parse a page in milliseconds a megabyte. None: use `parse_page`, which may take a hundred times as long."""
    envelope = _parse_fast(body)
    return _page(envelope, len(body)) if _is_page(envelope) else None


def parse_page(body: bytes) -> Page | NotAPage:
    """Parse a page without loss. A record that Python cannot hold exactly becomes an UnreadableRecord with its own text.

    Fractions are 64-bit floating point, as RFC 8259, section 6, expects: digits beyond its precision are rounded.
    """
    try:
        envelope = _parse_fast(body) or _parse_exact(body)
    except (ValueError, RecursionError, NotExactError) as error:
        return NotAPage(_not_a_page_reason(body, error))
    if not _is_page(envelope):
        return NotAPage("it is JSON, but not a page of audit records")
    return _page(envelope, len(body))


def _is_page(envelope: Any) -> bool:
    return isinstance(envelope, dict) and isinstance(envelope.get("records"), list)


def _page(envelope: dict[str, Any], size: int) -> Page:
    total = envelope.get("total")
    return Page(tuple(envelope["records"]), total if type(total) is int else None, size)


def _parse_fast(body: bytes) -> Any:
    """Parse with orjson. None: the result might not be exact.

    orjson turns integers beyond 64 bits into floats and drops repeated names, both silently. A dropped name shows as a
    missing colon; so that colons can be counted, bodies with an escaped colon are not parsed here.
    """
    if b"0" * 18 in body.translate(_DIGITS_AS_ZEROS) or b"\\u003" in body:
        return None
    try:
        envelope = orjson.loads(body)
        return envelope if orjson.dumps(envelope).count(b":") == body.count(b":") else None
    except (ValueError, TypeError):
        return None


def _parse_exact(body: bytes) -> Any:
    text = body.decode("utf-8-sig")
    bounds = list(record_bounds(text))
    if not bounds:
        return parse_json(text)
    envelope = parse_json(text[: bounds[0] + 1] + text[bounds[-1] :])
    record_texts = [text[start + 1 : end] for start, end in pairwise(bounds)]
    if len(record_texts) > 1 or record_texts[0].strip():
        envelope["records"] = [parse_record(result) for result in record_texts]
    return envelope


def record_bounds(text: str) -> Iterator[int]:
    """Yield the positions where the list of records opens, has its commas, and closes."""
    depth, inside = 0, False
    for token in _TOKEN.finditer(text):
        last = token.group()[-1]
        if last == "," and inside and depth == 2:
            yield token.start()
        elif last in "[{":
            depth += 1
            if depth == 2 and token.group()[0] == '"' and not inside:
                inside = True
                yield token.end() - 1
        elif last in "]}":
            depth -= 1
            if depth == 1 and inside:
                yield token.start()
                return


def parse_record(text: str) -> object:
    try:
        if _depth(text) > MAX_NESTING_LEVELS:
            raise NotExactError(f"the record is nested deeper than {MAX_NESTING_LEVELS} levels")
        return parse_json(text)
    except NotExactError as error:
        return UnreadableRecord(str(error), text.strip().encode())


def _depth(text: str) -> int:
    steps = (
        1 if token.group()[-1] in "[{" else -1
        for token in _TOKEN.finditer(text)
        if token.group()[-1] in "[{]}"
    )
    return max(accumulate(steps), default=0)


def parse_json(text: str) -> Any:
    return json.loads(
        text,
        object_pairs_hook=_unique_members,
        parse_int=_integer,
        parse_float=_fraction,
        parse_constant=_reject_constant,
    )


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise NotExactError("the record holds a name twice in one object")
    return members


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise NotExactError(f"the record holds an integer of more than {MAX_INTEGER_DIGITS} digits")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise NotExactError("the record holds a number beyond 64-bit floating point")
    return number


def _reject_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _not_a_page_reason(body: bytes, error: Exception) -> str:
    if not body.strip():
        return "it is empty"
    if body.lstrip()[:1] == b"<":
        return "it is HTML, as a proxy or a login page sends it"
    if isinstance(error, NotExactError):
        return str(error).replace("the record", "it")
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "its JSON is broken or cut off"

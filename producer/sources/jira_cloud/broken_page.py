"""A page that cannot be parsed, record by record: the good ones, and the bytes of each one that is broken.

A body that is cut off is never salvaged: it has no end of its list, and its rest is still to come. The caller decides whether
a record is broken for good, by a second request: a fault on the way breaks other bytes each time.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from producer.events import UnreadableRecord
from producer.sources.jira_cloud.page import (
    NotExactError,
    Page,
    parse_json,
    parse_page,
    parse_record,
    record_bounds,
)

MAX_KEPT_RECORDS = 100
MAX_KEPT_BYTES = 4_000_000
BROKEN_JSON = "the JSON of the record is broken"

_PLACEHOLDER = b"relay:broken"

_ONE_RECORD = re.compile(rb'^\s*\{[^\[\]]*"records"\s*:\s*\[(.*)\][^\[\]]*\}\s*$', re.DOTALL)
_TOTAL = re.compile(rb'^\s*\{[^\[\]{}]*"total"\s*:\s*(\d{1,18})')


class BrokenRecords:
    """The bytes of records that could not be read. The same bytes twice are the record; other ones were a fault on the way.

    They are kept, so that a page of many records is read at once although its structure is broken by a known one.
    """

    def __init__(self) -> None:
        self._seen: dict[bytes, bool] = {}
        """Bytes of a broken record, oldest first, and whether they came twice."""

    def read(self, body: bytes, limit: int) -> Page | None:
        """Return the records of a page that is no JSON. None: it may be readable when it is requested again."""
        confirmed = [raw for raw, is_confirmed in self._seen.items() if is_confirmed and raw in body]
        if (page := _page_without(body, confirmed)) is not None:
            return page
        salvaged = salvage_page(body, limit)
        if salvaged is None:
            return None
        raws = [one.raw for one in salvaged.records if isinstance(one, UnreadableRecord)]
        known = [raw in self._seen for raw in raws]
        self._seen |= dict(zip(raws, known, strict=True))
        self._forget_oldest()
        return salvaged if raws and all(known) else None

    def _forget_oldest(self) -> None:
        while self._seen and (
            len(self._seen) > MAX_KEPT_RECORDS or sum(map(len, self._seen)) > MAX_KEPT_BYTES
        ):
            del self._seen[next(iter(self._seen))]


def _page_without(body: bytes, broken: Sequence[bytes]) -> Page | None:
    """Return a page in which these bytes are each one unreadable record. None: there are none, or the rest is no page."""
    for number, raw in enumerate(broken):
        body = body.replace(raw, b'{"%s":%d}' % (_PLACEHOLDER, number))
    page = parse_page(body) if broken else None
    if not isinstance(page, Page):
        return None
    unreadable = [UnreadableRecord(BROKEN_JSON, raw) for raw in broken]
    key = _PLACEHOLDER.decode()
    records = (
        unreadable[one[key]] if isinstance(one, dict) and one.keys() == {key} else one for one in page.records
    )
    return replace(page, records=tuple(records))


def salvage_page(body: bytes, limit: int) -> Page | None:
    """Return the records of a page that is no JSON as a whole. None: its list of records has no clear bounds.

    `limit`: records that were requested. All that is in the list of a page of one is that record, whatever it looks like.
    """
    # A character for each byte: the structure of JSON is ASCII in any encoding of its texts.
    text = body.decode("latin-1")
    bounds = list(record_bounds(text))
    if (
        len(bounds) > 1
        and text[bounds[-1]] == "]"
        and _is_envelope(text[: bounds[0] + 1] + text[bounds[-1] :])
    ):
        raws = [text[start + 1 : end].encode("latin-1").strip() for start, end in pairwise(bounds)]
        if all(raws) and (limit > 1 or len(raws) == 1):
            return Page(tuple(map(salvage_record, raws)), _total(body), len(body))
    only = _ONE_RECORD.match(body) if limit == 1 else None
    if only is None or not only[1].strip():
        return None
    return Page((UnreadableRecord(BROKEN_JSON, only[1].strip()),), _total(body), len(body))


def _is_envelope(text: str) -> bool:
    try:
        envelope = parse_json(text.encode("latin-1").decode("utf-8-sig"))
    except (ValueError, RecursionError, NotExactError):
        return False
    return isinstance(envelope, dict) and envelope.get("records") == []


def salvage_record(raw: bytes) -> object:
    """Return the record of these bytes, as parsed from JSON; an UnreadableRecord if they are none."""
    try:
        return parse_record(raw.decode())
    except UnicodeDecodeError:
        return UnreadableRecord("the record is not UTF-8", raw)
    except (ValueError, RecursionError):
        return UnreadableRecord(BROKEN_JSON, raw)


def _total(body: bytes) -> int | None:
    found = _TOTAL.match(body)
    return None if found is None else int(found[1])

"""Events and unreadable records, as sources hand them over."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

Event = dict[str, Any]

TEXT_FIELDS = (
    "summary",
    "category",
    "description",
    "eventSource",
    "remoteAddress",
    "authorKey",
    "authorAccountId",
)
"""The fields of an event that hold one text or null, beside `unmodeled`."""

_NOT_OF_THE_SOURCE = {"organization", "collected", "mode", "variant"}

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A record that cannot become an event, with the reason; `raw` is its JSON, as the source sent it."""

    reason: str
    raw: bytes


def to_json(value: object) -> str:
    """Return JSON without loss; ASCII only where a lone surrogate makes UTF-8 impossible."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if LONE_SURROGATE.search(text):
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text


def same_record(one: Event, other: Event) -> bool:
    """Return whether two events have the same content; the order of names within `unmodeled` does not count."""
    return one == other or _content(one) == _content(other)


def content_hash(event: Event) -> int:
    """Return 63 bits of a hash of all that the source sent in the event's record."""
    text = json.dumps(_content(event), sort_keys=True)
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1


def _content(event: Event) -> dict[str, Any]:
    """Return the fields that came from the source, without nulls: a field that a later schema adds changes no hash."""
    content = {
        name: value for name, value in event.items() if value is not None and name not in _NOT_OF_THE_SOURCE
    }
    if "unmodeled" in content:
        content["unmodeled"] = json.loads(content["unmodeled"])
    return content

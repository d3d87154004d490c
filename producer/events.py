import json
import re
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]

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

import json
import re
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A record that cannot become an event; `raw` is its JSON."""

    reason: str
    raw: bytes


def to_json(value: object) -> str:
    """JSON without loss: ASCII only where a lone surrogate makes other text impossible."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if LONE_SURROGATE.search(text):
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text

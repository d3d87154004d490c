"""The canonical form of an event, and its hash: what the audit log said, without anything that the relay added. Pure.

The form is the record as the source serves it: the fields of the event, with `unmodeled` merged back into its place, without
nulls, `created` in UTC. So a field that a later schema names changes no hash: its value moves from `unmodeled` to the field.
Organization, time of collection, mode and variant are the relay's own, and are left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from management.completeness.verifier import canonical_text
from relay.timestamps import to_iso

_OF_THE_RELAY = frozenset({"organization", "collected", "mode", "variant", "unmodeled"})


@dataclass(frozen=True, slots=True, order=True)
class EventKey:
    """An event as a day counts it: its id, and the SHA-256 of its canonical form. Events that share an id have other hashes."""

    id: int
    content: bytes


def canonical_record(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of an event in its canonical form. `created` is in ms UTC in the event, and a text in the record."""
    fields = {name: value for name, value in event.items() if name not in _OF_THE_RELAY}
    fields["created"] = f"{to_iso(event['created'])[:-1]}+0000"
    rest = event.get("unmodeled")
    found = _without_nulls(_merged(fields, json.loads(rest)) if rest else fields)
    return found if isinstance(found, dict) else {}


def event_key(event: Mapping[str, Any]) -> EventKey:
    """Return id and hash of an event."""
    return EventKey(event["id"], sha256(canonical_text(canonical_record(event))).digest())


def _merged(held: Any, rest: Any) -> Any:
    """Return a value of the event with its part of `unmodeled`, in the record's shape. `{}` in a list: nothing is added."""
    if isinstance(held, dict) and isinstance(rest, dict):
        return held | {name: _merged(held.get(name), each) for name, each in rest.items()}
    if isinstance(held, list) and isinstance(rest, list) and len(held) == len(rest):
        return [
            _merged(one, other) if isinstance(other, dict) else other
            for one, other in zip(held, rest, strict=True)
        ]
    return held if rest is None else rest


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value

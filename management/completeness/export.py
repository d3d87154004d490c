"""One self-contained file of seals and inclusion proofs, each line signed, as `verifier` reads it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from management.completeness.canonical import EventKey
from management.completeness.merkle import inclusion_path, leaves_of, root_of
from management.completeness.signature import SignedStatement, SigningKey
from management.completeness.verifier import FORMAT
from management.formatting import iso_milliseconds


@dataclass(frozen=True, slots=True)
class StoredSeal:
    """A seal as the topic has it: the signed bytes, and their content."""

    signed: SignedStatement
    statement: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProvenEvent:
    """An event and the other events of its day, as their seal covers them. `day`: of `created`, UTC."""

    organization: str
    day: str
    event: EventKey
    of_the_day: Sequence[EventKey]


def build_export(
    chains: Mapping[str, Sequence[StoredSeal]],
    first_day: str,
    last_day: str,
    events: Sequence[ProvenEvent],
    key: SigningKey,
    now_ms: int,
) -> bytes:
    """Return the file with the seals of the days from `first_day` to `last_day`, both included.

    `chains`: all seals by organization, in their order. The seal before the first day is there too, so that a reader sees that
    no day is left out between. Raises ValueError for an event that the seal of its day does not cover.
    """
    cut = {name: _within(seals, first_day, last_day) for name, seals in sorted(chains.items())}
    parts = {name: seals for name, seals in cut.items() if seals}
    header = {
        "kind": "export",
        "format": FORMAT,
        "exported_at": iso_milliseconds(now_ms),
        "from": first_day,
        "to": last_day,
        "chains": {
            name: {"last": seals[-1].statement["sequence"], "head": seals[-1].signed.hash}
            for name, seals in parts.items()
        },
        "seals": sum(map(len, parts.values())),
        "events": len(events),
    }
    lines = [key.sign(header), *(seal.signed for seals in parts.values() for seal in seals)]
    lines += [key.sign(_event_statement(parts, each)) for each in events]
    return b"".join(each.line for each in lines)


def _within(seals: Sequence[StoredSeal], first_day: str, last_day: str) -> Sequence[StoredSeal]:
    """Return the seals from that before the first one of the period on. A clock that was ahead may have sealed days of it early."""
    ends = [index for index, each in enumerate(seals) if each.statement["day"] <= last_day]
    firsts = [index for index, each in enumerate(seals) if each.statement["edition"] == 1]
    inside = [index for index in firsts if first_day <= seals[index].statement["day"] <= last_day]
    begin = min(inside, default=len(seals))
    starts = [index for index in firsts if index < begin and seals[index].statement["day"] < first_day]
    return seals[max(starts, default=0) : max(ends, default=-1) + 1]


def _event_statement(parts: Mapping[str, Sequence[StoredSeal]], proven: ProvenEvent) -> Mapping[str, Any]:
    seals = [each for each in parts.get(proven.organization, ()) if each.statement["day"] == proven.day]
    leaves = leaves_of(proven.of_the_day)
    if not seals or seals[-1].statement["root"] != root_of(leaves).hex():
        raise ValueError(f"{proven.day} of {proven.organization} has no seal over its present events")
    index = sorted(proven.of_the_day).index(proven.event)
    return {
        "kind": "event",
        "organization": proven.organization,
        "day": proven.day,
        "id": proven.event.id,
        "content": proven.event.content.hex(),
        "index": index,
        "path": [each.hex() for each in inclusion_path(leaves, index)],
    }

"""Whether everything that happened has arrived: once in Kafka, at the sink, and field by field as it should be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox import expected
from sandbox.expected import Json


@dataclass(frozen=True, slots=True)
class Landed:
    """An event as it was found on a topic, under the key `organization`; `history`: on the backfill topic."""

    organization: str
    event: Json
    history: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as it was found at the sink; `doubtful`: whoever sent it got no answer and had to send it again."""

    row: Mapping[str, Any]
    history: bool
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What happened, by organization, and what was found. `remarks` tell of whatever else was met: it
    is no record that happened, so no verdict depends on it.
    """

    truth: Mapping[str, Sequence[Json]]
    landed: Sequence[Landed]
    stored: Sequence[Stored]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrong:
    """A record that arrived with other values than it had."""

    id: int
    where: str
    names: tuple[str, ...]


@dataclass(slots=True)
class Judged:
    """One organization; ids of records, ascending."""

    organization: str
    happened: int = 0
    ahead: list[int] = field(default_factory=list)
    """Need not have arrived yet, and have not."""
    missing_in_kafka: list[int] = field(default_factory=list)
    repeated_in_kafka: list[int] = field(default_factory=list)
    missing_at_sink: list[int] = field(default_factory=list)
    repeated_at_sink: list[int] = field(default_factory=list)
    """Without a doubtful answer that would explain it."""
    explained_repeats: int = 0
    wrong: list[Wrong] = field(default_factory=list)
    strangers: list[int] = field(default_factory=list)
    """Arrived, but never happened."""
    cut: int = 0
    """Values that were rightly cut."""

    @property
    def passed(self) -> bool:
        faults = (self.missing_in_kafka, self.repeated_in_kafka, self.missing_at_sink, self.repeated_at_sink)
        return not any(faults) and not self.wrong and not self.strangers


@dataclass(frozen=True, slots=True)
class Verdict:
    organizations: tuple[Judged, ...]
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return all(judged.passed for judged in self.organizations)


def judge(evidence: Evidence, as_of_ms: int) -> Verdict:
    """What was created after `as_of_ms` need not have arrived."""
    landed = _by_record((one.organization, one.event["id"], one) for one in evidence.landed)
    stored = _by_record((one.row["Organization"], one.row["EventId"], one) for one in evidence.stored)
    names = sorted(evidence.truth.keys() | landed.keys() | stored.keys(), key=str)
    return Verdict(
        tuple(
            _judge(name, evidence.truth.get(name, ()), landed[name], stored[name], as_of_ms) for name in names
        ),
        evidence.remarks,
    )


def _by_record(found: Iterable[tuple[str, int, Any]]) -> dict[str, dict[int, list[Any]]]:
    sorted_in: dict[str, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for organization, record_id, one in found:
        sorted_in[organization][record_id].append(one)
    return sorted_in


def _judge(
    organization: str,
    truth: Sequence[Json],
    landed: dict[int, list[Landed]],
    stored: dict[int, list[Stored]],
    as_of_ms: int,
) -> Judged:
    judged = Judged(organization, happened=len(truth))
    for record in truth:
        events, rows = landed.pop(record["id"], []), stored.pop(record["id"], [])
        if not rows and expected.created_ms(record) > as_of_ms:
            judged.ahead.append(record["id"])
        else:
            _count(judged, record["id"], events, rows)
        _compare(judged, expected.event(record, organization), events, rows)
    judged.strangers = sorted(landed.keys() | stored.keys())
    return judged


def _count(judged: Judged, record_id: int, events: Sequence[Landed], rows: Sequence[Stored]) -> None:
    if not events:
        judged.missing_in_kafka.append(record_id)
    if len(events) > 1:
        judged.repeated_in_kafka.append(record_id)
    if not rows:
        judged.missing_at_sink.append(record_id)
    repeats = max(len(rows) - 1, 0)
    if repeats > sum(row.doubtful for row in rows):
        judged.repeated_at_sink.append(record_id)
    else:
        judged.explained_repeats += repeats


def _compare(judged: Judged, wanted: Json, events: Sequence[Landed], rows: Sequence[Stored]) -> None:
    for one in events:
        differing = expected.event_differences(wanted, one.event)
        if one.history != (one.event["mode"] == "backfill"):
            differing.append("mode")
        if differing:
            judged.wrong.append(Wrong(wanted["id"], "Kafka", tuple(differing)))
    for stored in rows if events else ():
        event = events[0].event
        row = expected.row(wanted, event["collected"], event["mode"])
        differing, cut = expected.row_differences(row, stored.row)
        if stored.history != (event["mode"] == "backfill"):
            differing.append("the table")
        judged.cut += len(cut)
        if differing:
            judged.wrong.append(Wrong(wanted["id"], "the sink", tuple(differing)))

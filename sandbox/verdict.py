"""Whether everything that happened has arrived: once in Kafka, at the sink, and field by field as it should be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox import expected
from sandbox.expected import JsonObject


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event as it was found on a topic, under the key `organization`; `history`: on the backfill topic."""

    organization: str
    event: JsonObject
    history: bool


@dataclass(frozen=True, slots=True)
class DeliveredRow:
    """A row as it was found at the sink; `unacknowledged`: whoever sent it got no answer and had to send it again."""

    row: Mapping[str, Any]
    history: bool
    unacknowledged: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What happened, by organization, and what was found. `remarks` tell of whatever else was met: it
    is no record that happened, so no verdict depends on it.
    """

    truth: Mapping[str, Sequence[JsonObject]]
    events: Sequence[PublishedEvent]
    rows: Sequence[DeliveredRow]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldMismatch:
    """A record that arrived with other values than it had."""

    id: int
    where: str
    names: tuple[str, ...]


@dataclass(slots=True)
class OrganizationVerdict:
    """One organization; ids of records, ascending."""

    organization: str
    in_jira: int = 0
    not_yet_due: list[int] = field(default_factory=list)
    """Need not have arrived yet, and have not."""
    missing_in_kafka: list[int] = field(default_factory=list)
    repeated_in_kafka: list[int] = field(default_factory=list)
    missing_at_sink: list[int] = field(default_factory=list)
    repeated_at_sink: list[int] = field(default_factory=list)
    """Without an unacknowledged row that would explain it."""
    explained_repeats: int = 0
    mismatches: list[FieldMismatch] = field(default_factory=list)
    unexpected: list[int] = field(default_factory=list)
    """Arrived, but never happened."""
    truncated: int = 0
    """Values that were rightly cut."""

    @property
    def passed(self) -> bool:
        faults = (self.missing_in_kafka, self.repeated_in_kafka, self.missing_at_sink, self.repeated_at_sink)
        return not any(faults) and not self.mismatches and not self.unexpected


@dataclass(frozen=True, slots=True)
class Verdict:
    organizations: tuple[OrganizationVerdict, ...]
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return all(judged.passed for judged in self.organizations)


def judge(evidence: Evidence, as_of_ms: int) -> Verdict:
    """What was created after `as_of_ms` need not have arrived."""
    events_by_record = _group_by_record((one.organization, one.event["id"], one) for one in evidence.events)
    rows_by_record = _group_by_record(
        (one.row["Organization"], one.row["EventId"], one) for one in evidence.rows
    )
    names = sorted(evidence.truth.keys() | events_by_record.keys() | rows_by_record.keys(), key=str)
    return Verdict(
        tuple(
            _judge_organization(
                name, evidence.truth.get(name, ()), events_by_record[name], rows_by_record[name], as_of_ms
            )
            for name in names
        ),
        evidence.remarks,
    )


def _group_by_record(found: Iterable[tuple[str, int, Any]]) -> dict[str, dict[int, list[Any]]]:
    grouped: dict[str, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for organization, record_id, one in found:
        grouped[organization][record_id].append(one)
    return grouped


def _judge_organization(
    organization: str,
    truth: Sequence[JsonObject],
    events_by_id: dict[int, list[PublishedEvent]],
    rows_by_id: dict[int, list[DeliveredRow]],
    as_of_ms: int,
) -> OrganizationVerdict:
    verdict = OrganizationVerdict(organization, in_jira=len(truth))
    for record in truth:
        events, rows = events_by_id.pop(record["id"], []), rows_by_id.pop(record["id"], [])
        if not rows and expected.created_ms(record) > as_of_ms:
            verdict.not_yet_due.append(record["id"])
        else:
            _count_copies(verdict, record["id"], events, rows)
        _compare_fields(verdict, expected.expected_event(record, organization), events, rows)
    verdict.unexpected = sorted(events_by_id.keys() | rows_by_id.keys())
    return verdict


def _count_copies(
    verdict: OrganizationVerdict,
    record_id: int,
    events: Sequence[PublishedEvent],
    rows: Sequence[DeliveredRow],
) -> None:
    if not events:
        verdict.missing_in_kafka.append(record_id)
    if len(events) > 1:
        verdict.repeated_in_kafka.append(record_id)
    if not rows:
        verdict.missing_at_sink.append(record_id)
    repeats = max(len(rows) - 1, 0)
    if repeats > sum(row.unacknowledged for row in rows):
        verdict.repeated_at_sink.append(record_id)
    else:
        verdict.explained_repeats += repeats


def _compare_fields(
    verdict: OrganizationVerdict,
    expected_event: JsonObject,
    events: Sequence[PublishedEvent],
    rows: Sequence[DeliveredRow],
) -> None:
    for one in events:
        differing = expected.event_differences(expected_event, one.event)
        if one.history != (one.event["mode"] == "backfill"):
            differing.append("mode")
        if differing:
            verdict.mismatches.append(FieldMismatch(expected_event["id"], "Kafka", tuple(differing)))
    for delivered in rows if events else ():
        event = events[0].event
        row = expected.expected_row(expected_event, event["collected"], event["mode"])
        differing, truncated = expected.row_differences(row, delivered.row)
        if delivered.history != (event["mode"] == "backfill"):
            differing.append("the table")
        verdict.truncated += len(truncated)
        if differing:
            verdict.mismatches.append(FieldMismatch(expected_event["id"], "the sink", tuple(differing)))

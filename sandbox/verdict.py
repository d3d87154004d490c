"""The verdict: whether each record of Jira is in Kafka exactly once and at the destination, with every field as expected."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox import expected
from sandbox.expected import JsonObject


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event on a topic, with its key as `organization`. `history`: it was on the backfill topic."""

    organization: str
    event: JsonObject
    history: bool


@dataclass(frozen=True, slots=True)
class DeliveredRow:
    """A row at the destination. `unacknowledged`: its sender got no answer, and had to send it again."""

    row: Mapping[str, Any]
    history: bool
    unacknowledged: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """Records of Jira by organization (`truth`), and the events and rows that were found.

    `remarks` describe anything else that was found. They concern no record of Jira, so the verdict ignores them.
    """

    truth: Mapping[str, Sequence[JsonObject]]
    events: Sequence[PublishedEvent]
    rows: Sequence[DeliveredRow]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldMismatch:
    """A record that arrived with changed values: `where`, and in which fields or columns."""

    id: int
    where: str
    names: tuple[str, ...]


@dataclass(slots=True)
class OrganizationVerdict:
    """Findings about one organization, as ids of records in ascending order."""

    organization: str
    in_jira: int = 0
    not_yet_due: list[int] = field(default_factory=list)
    """Records of the future that have not arrived."""
    missing_in_kafka: list[int] = field(default_factory=list)
    repeated_in_kafka: list[int] = field(default_factory=list)
    missing_at_destination: list[int] = field(default_factory=list)
    repeated_at_destination: list[int] = field(default_factory=list)
    """Records with more repeats than unacknowledged rows."""
    explained_repeats: int = 0
    mismatches: list[FieldMismatch] = field(default_factory=list)
    unexpected: list[int] = field(default_factory=list)
    """Ids that arrived although Jira has no such record."""
    truncated: int = 0
    """Count of correctly truncated values."""

    @property
    def passed(self) -> bool:
        faults = (
            self.missing_in_kafka,
            self.repeated_in_kafka,
            self.missing_at_destination,
            self.repeated_at_destination,
        )
        return not any(faults) and not self.mismatches and not self.unexpected


@dataclass(frozen=True, slots=True)
class Verdict:
    organizations: tuple[OrganizationVerdict, ...]
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return all(judged.passed for judged in self.organizations)


def judge(evidence: Evidence, as_of_ms: int) -> Verdict:
    """Judge the evidence. Records created after `as_of_ms` (ms UTC) need not have arrived."""
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
        verdict.missing_at_destination.append(record_id)
    repeats = max(len(rows) - 1, 0)
    if repeats > sum(row.unacknowledged for row in rows):
        verdict.repeated_at_destination.append(record_id)
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
            verdict.mismatches.append(FieldMismatch(expected_event["id"], "in Kafka", tuple(differing)))
    for delivered in rows if events else ():
        event = events[0].event
        row = expected.expected_row(expected_event, event["collected"], event["mode"])
        differing, truncated = expected.row_differences(row, delivered.row)
        if delivered.history != (event["mode"] == "backfill"):
            differing.append("the table")
        verdict.truncated += len(truncated)
        if differing:
            verdict.mismatches.append(
                FieldMismatch(expected_event["id"], "at the destination", tuple(differing))
            )

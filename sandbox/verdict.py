"""The verdict: whether each record of Jira is in Kafka exactly once and at each destination, with every field as expected."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox import expected
from sandbox.destinations.contract import Comparison, DeliveredRow
from sandbox.expected import JsonObject
from sandbox.replay_verdict import ReplayEvidence, ReplayVerdict, judge_replay

Compare = Callable[[Mapping[str, Any], JsonObject], Comparison]
"""Compare a row with its event, as `DestinationPeer.compare` does."""


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event on a topic, with its key as `organization`. `history`: it was on the backfill topic."""

    organization: str
    event: JsonObject
    history: bool


@dataclass(frozen=True, slots=True)
class DestinationEvidence:
    """The rows that one destination stored, and how to compare them."""

    rows: Sequence[DeliveredRow]
    compare: Compare
    replay: ReplayEvidence | None = None
    """A replay, with rows of its own; None: there was none."""
    by_hand: Sequence[DeliveredRow] = ()
    """The rows of replays that somebody started while the sandbox ran. They are not judged."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Records of Jira by organization (`truth`), and the events and the rows by destination that were found.

    `remarks` describe anything else that was found. They concern no record of Jira, so the verdict ignores them.
    """

    truth: Mapping[str, Sequence[JsonObject]]
    events: Sequence[PublishedEvent]
    destinations: Mapping[str, DestinationEvidence]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldMismatch:
    """A record that arrived with changed values: `where`, and in which fields or columns."""

    id: int
    where: str
    names: tuple[str, ...]


@dataclass(slots=True)
class DeliveryFindings:
    """Findings about one organization at one destination, as ids of records in ascending order."""

    missing: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    """Records with more repeats than unacknowledged rows."""
    explained_repeats: int = 0
    truncated: int = 0
    """Count of correctly truncated values."""


@dataclass(slots=True)
class OrganizationVerdict:
    """Findings about one organization, as ids of records in ascending order."""

    organization: str
    in_jira: int = 0
    not_yet_due: list[int] = field(default_factory=list)
    """Records of the future that have not arrived."""
    missing_in_kafka: list[int] = field(default_factory=list)
    repeated_in_kafka: list[int] = field(default_factory=list)
    destinations: dict[str, DeliveryFindings] = field(default_factory=dict)
    mismatches: list[FieldMismatch] = field(default_factory=list)
    unexpected: list[int] = field(default_factory=list)
    """Ids that arrived although Jira has no such record."""

    @property
    def passed(self) -> bool:
        delivered = not any(each.missing or each.repeated for each in self.destinations.values())
        discrepancies = (self.missing_in_kafka, self.repeated_in_kafka, self.mismatches, self.unexpected)
        return delivered and not any(discrepancies)


@dataclass(frozen=True, slots=True)
class Verdict:
    organizations: tuple[OrganizationVerdict, ...]
    destinations: tuple[str, ...]
    """The names of the destinations."""
    remarks: tuple[str, ...] = ()
    replays: tuple[ReplayVerdict, ...] = ()

    @property
    def passed(self) -> bool:
        judged = [each.passed for each in self.organizations] + [each.passed for each in self.replays]
        return all(judged)


RowsByDestination = Mapping[str, Sequence[DeliveredRow]]


def judge(evidence: Evidence, as_of_ms: int) -> Verdict:
    """Judge the evidence. Records created after `as_of_ms` (ms UTC) need not have arrived."""
    events = _group_by_record((one.organization, one.event["id"], one) for one in evidence.events)
    rows = {
        name: _group_by_record((one.organization, one.record_id, one) for one in each.rows)
        for name, each in evidence.destinations.items()
    }
    names = sorted(evidence.truth.keys() | events.keys() | set().union(*rows.values()), key=str)
    return Verdict(
        tuple(
            _judge_organization(
                OrganizationVerdict(name, len(evidence.truth.get(name, ()))),
                evidence,
                events[name],
                {destination: grouped[name] for destination, grouped in rows.items()},
                as_of_ms,
            )
            for name in names
        ),
        tuple(evidence.destinations),
        evidence.remarks,
        tuple(_judge_replays(evidence)),
    )


def _judge_replays(evidence: Evidence) -> Iterator[ReplayVerdict]:
    truth = {
        (name, record["id"]): expected.expected_event(record, name)
        for name, records in evidence.truth.items()
        for record in records
    }
    events = {
        key: {**truth[key], "collected": one.event["collected"]}
        for one in evidence.events
        if (key := (one.organization, one.event["id"])) in truth
    }
    for name, found in evidence.destinations.items():
        if found.replay is not None:
            yield judge_replay(name, found.replay, events, (*found.rows, *found.by_hand), found.compare)


def _group_by_record(found: Iterable[tuple[str, int, Any]]) -> dict[str, dict[int, list[Any]]]:
    grouped: dict[str, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for organization, record_id, one in found:
        grouped[organization][record_id].append(one)
    return grouped


def _judge_organization(
    verdict: OrganizationVerdict,
    evidence: Evidence,
    events_by_id: dict[int, list[PublishedEvent]],
    rows_by_id: Mapping[str, dict[int, list[DeliveredRow]]],
    as_of_ms: int,
) -> OrganizationVerdict:
    verdict.destinations = {name: DeliveryFindings() for name in evidence.destinations}
    for record in evidence.truth.get(verdict.organization, ()):
        events = events_by_id.pop(record["id"], [])
        rows = {name: by_id.pop(record["id"], []) for name, by_id in rows_by_id.items()}
        if expected.created_ms(record) > as_of_ms and not any(rows.values()):
            verdict.not_yet_due.append(record["id"])
        else:
            _count_copies(verdict, record["id"], events, rows)
        expected_event = expected.expected_event(record, verdict.organization)
        _compare_events(verdict, expected_event, events)
        for name, delivered in rows.items() if events else ():
            _compare_rows(
                verdict, name, evidence.destinations[name].compare, expected_event, events[0], delivered
            )
    verdict.unexpected = sorted(events_by_id.keys() | set().union(*rows_by_id.values()))
    return verdict


def _count_copies(
    verdict: OrganizationVerdict, record_id: int, events: Sequence[PublishedEvent], rows: RowsByDestination
) -> None:
    if not events:
        verdict.missing_in_kafka.append(record_id)
    if len(events) > 1:
        verdict.repeated_in_kafka.append(record_id)
    for name, delivered in rows.items():
        findings = verdict.destinations[name]
        if not delivered:
            findings.missing.append(record_id)
        repeats = max(len(delivered) - 1, 0)
        if repeats > sum(row.unacknowledged for row in delivered):
            findings.repeated.append(record_id)
        else:
            findings.explained_repeats += repeats


def _compare_events(
    verdict: OrganizationVerdict, expected_event: JsonObject, events: Sequence[PublishedEvent]
) -> None:
    for one in events:
        differing = expected.event_differences(expected_event, one.event)
        if one.history != (one.event["mode"] == "backfill"):
            differing.append("mode")
        if differing:
            verdict.mismatches.append(FieldMismatch(expected_event["id"], "in Kafka", tuple(differing)))


def _compare_rows(
    verdict: OrganizationVerdict,
    destination: str,
    compare: Compare,
    expected_event: JsonObject,
    published: PublishedEvent,
    rows: Sequence[DeliveredRow],
) -> None:
    mode = published.event["mode"]
    event = {**expected_event, "collected": published.event["collected"], "mode": mode}
    for delivered in rows:
        found = compare(delivered.row, event)
        misplaced = [] if delivered.history == (mode == "backfill") else ["the place"]
        verdict.destinations[destination].truncated += len(found.truncated)
        if differing := (*found.differing, *misplaced):
            verdict.mismatches.append(FieldMismatch(expected_event["id"], f"at {destination}", differing))

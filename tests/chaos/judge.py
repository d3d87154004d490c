"""The judge of a round: reads every topic and row anew, and lists facts and violations."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from management.organizations.store import read_organizations
from management.organizations.view import public_view
from relay.avro.codec import InternalCodec
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics
from relay.timestamps import now_ms
from sandbox import evidence
from sandbox.verdict import Evidence, OrganizationVerdict, judge
from simulators.azure.world import HISTORY, LIVE, AzureWorld
from tests.chaos import invariants
from tests.chaos.context import RoundContext
from tests.chaos.invariants import RowArrival
from tests.chaos.operators import Operators
from tests.chaos.peer_faults import OrganizationFaults
from tests.chaos.plan import OPT_IN_KINDS
from tests.chaos.process_slot import ProcessSlot
from tests.chaos.traffic import Traffic

MAX_LISTED = 10
LOG_MARKERS = (
    "The shard is loaded; it could not be",
    "Transaction outcome is unknown",
    "Hanging transactions were ended.",
    "Kafka lost the end of a log",
    "Kafka lost the end of a partition",
    "Task was destroyed but it is pending",
    "Traceback",
)
TOKEN_PREFIX = b"ATATT-simulated-"


@dataclass(frozen=True, slots=True)
class RoundReport:
    """The result of a round. Each of `violations` breaks a promise; `facts` break none."""

    facts: list[str]
    violations: list[str]


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """Everything that a round leaves for its judge."""

    context: RoundContext
    executed: Mapping[str, int]
    operators: Operators
    organizations: OrganizationFaults
    traffic: Traffic
    has_consumers: bool


async def judge_round(outcome: RoundOutcome) -> RoundReport:
    """Judge a finished round. Raises RelayError when Kafka cannot be read."""
    world = outcome.context.world
    found = await evidence.collect_evidence(world.jira.truth(), world.connection, world.destinations)
    repeats = invariants.find_repeats(_row_arrivals(world.azure), _disturbances(outcome.context))
    states = {name: public_view(each) for name, each in (await read_organizations(world.connection)).items()}
    violations = [
        *_record_violations(found, outcome),
        *_listed(
            "out of order",
            invariants.find_disorder(
                found.events, outcome.traffic.visible_from, outcome.organizations.skewed_sites
            ),
        ),
        *_listed("repeated at the destination without a reason", repeats.unexplained),
        *invariants.find_broken_history(await _read_changes(world.connection), states),
        *outcome.operators.violations,
        *outcome.context.stop_problems,
        *_unexcused_exits(world.slots),
        *_find_leaked_keys(world.directory),
    ]
    repeats_text = f"{repeats.rows} rows were repeated at the destination, {repeats.unacknowledged} of them after a lost answer."
    return RoundReport(
        [*_facts(found, outcome), repeats_text, *_count_log_markers(world.directory)], violations
    )


def _disturbances(context: RoundContext) -> list[tuple[float, float]]:
    consumers = [slot for slot in context.world.slots if slot.is_consumer]
    return [*context.disturbances, *((exit_.at, exit_.at) for slot in consumers for exit_ in slot.exits)]


def _record_violations(found: Evidence, outcome: RoundOutcome) -> Iterable[str]:
    verdict = judge(found, now_ms())
    log_truncated = any(outcome.executed.get(kind, 0) for kind in OPT_IN_KINDS)
    yield from verdict.remarks
    for one in verdict.organizations:
        yield from _organization_violations(
            one, has_consumers=outcome.has_consumers, log_truncated=log_truncated
        )


def _facts(found: Evidence, outcome: RoundOutcome) -> Iterable[str]:
    yield "Faults played: " + ", ".join(
        f"{count} {kind}" for kind, count in sorted(outcome.executed.items()) if count
    )
    in_jira = sum(map(len, found.truth.values()))
    modes = [one.event["mode"] for one in found.events]
    yield f"{in_jira} records were created in {len(found.truth)} organizations."
    yield f"{len(modes)} events are in Kafka: " + ", ".join(
        f"{modes.count(mode)} {mode}" for mode in ("live", "late", "backfill")
    )
    if outcome.has_consumers:
        for name, each in found.destinations.items():
            yield f"{len(each.rows)} rows are at {name}."


def _organization_violations(
    one: OrganizationVerdict, *, has_consumers: bool, log_truncated: bool
) -> Iterable[str]:
    """Yield a line for each kind of defect of an organization.

    An event that Kafka lost is collected again, while its row has the first time of collection and the first mode.
    """
    mismatches = [
        each
        for each in one.mismatches
        if not (log_truncated and set(each.names) <= {"CollectedTime", "EventMode"})
    ]
    undelivered = (
        {f"missing at {name}": findings.missing for name, findings in one.destinations.items()}
        if has_consumers
        else {}
    )
    kinds = {
        "missing in Kafka": one.missing_in_kafka,
        "more than once in Kafka": one.repeated_in_kafka,
        "arrived but not in Jira": one.unexpected,
        "with changed values": mismatches,
        **undelivered,
    }
    for what, which in kinds.items():
        yield from _listed(f"{one.organization}: {what}", which)


def _unexcused_exits(slots: Iterable[ProcessSlot]) -> Iterable[str]:
    for slot in slots:
        for exit_ in slot.exits:
            if not exit_.excused:
                yield f"{slot.name} ended by itself ({exit_.code}): {exit_.last_line}"


def _count_log_markers(directory: Path) -> Iterable[str]:
    """Yield how often the logs of the relay have each message about a rare and dangerous event."""
    logs = "".join(path.read_text(errors="replace") for path in directory.glob("*.log"))
    for message in LOG_MARKERS:
        yield f"{logs.count(message)} times: {message}"
    for error, count in Counter(find_raised_errors(logs)).most_common(MAX_LISTED):
        yield f"{count} times raised: {error}"


def find_raised_errors(logs: str) -> list[str]:
    """Return the last line of each traceback in texts of logs, whether written as text or within JSON."""
    lines = iter(logs.replace("\\n", "\n").splitlines())
    return [
        next((line for line in lines if line and not line[0].isspace()), "(the log ends)")
        for started in lines
        if "Traceback (most recent call last)" in started
    ]


def _find_leaked_keys(directory: Path) -> Iterable[str]:
    """Yield a line for each log of a process, and each file of Kafka, with a token of a simulated site."""
    for path in (*directory.glob("*.log"), *directory.glob("kafka/**/*.log")):
        if TOKEN_PREFIX in path.read_bytes():
            yield f"An API key is in {path}"


def _listed(what: str, which: Sequence[Any]) -> Iterable[str]:
    if which:
        listed = ", ".join(map(str, which[:MAX_LISTED]))
        yield f"{what}: {len(which)} ({listed}{', …' if len(which) > MAX_LISTED else ''})"


def _row_arrivals(azure: AzureWorld) -> list[RowArrival]:
    calls = {call.request_id: call for call in azure.calls}
    arrivals = sorted(
        (arrival for table in (LIVE, HISTORY) for arrival in azure.table(table).stored_rows),
        key=lambda arrival: arrival.number,
    )
    return [
        RowArrival(
            str(arrival.row["EventUid"]),
            calls[arrival.request_id].at,
            calls[arrival.request_id].status != 204,
        )
        for arrival in arrivals
    ]


async def _read_changes(connection: Connection) -> list[dict[str, Any]]:
    place = TopicPartition(Topics(connection.kafka.topic_prefix).changes, 0)
    records: list[Record] = []
    async with standalone_consumer(connection) as reader:
        span = (await stable_bounds(reader, [place]))[place]
        await read_to_end(
            reader, {place: span.log_start_offset}, {place: span.last_stable_offset}, records.append
        )
    codec = InternalCodec("change")
    return [codec.decode(record.value or b"") for record in records]

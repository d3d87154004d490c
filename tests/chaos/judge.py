"""Reads everything anew when all is over, and says what came of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from management.organizations.store import organizations
from management.organizations.view import shown
from relay.avro.codec import InternalCodec
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics
from relay.timestamps import now_ms
from sandbox import evidence
from sandbox.verdict import Evidence, Judged, judge
from simulators.azure.world import HISTORY, LIVE, AzureWorld
from tests.chaos import findings
from tests.chaos.course import Course
from tests.chaos.findings import Arrived
from tests.chaos.operators import Operators
from tests.chaos.peers import Organizations
from tests.chaos.slot import Slot
from tests.chaos.traffic import Traffic

SHOWN = 10
TALES = (
    "A shard was opened.",
    "Nobody knows how a transaction ended",
    "Transactions that Kafka had left without an end were ended.",
    "Kafka has lost the end of a log",
    "Kafka has lost the end of a partition",
    "Task was destroyed but it is pending",
    "Traceback",
)
TOKEN = b"ATATT-simulated-"


@dataclass(frozen=True, slots=True)
class Report:
    """`facts` are for reading; whatever stands in `faults` breaks a promise."""

    facts: list[str]
    faults: list[str]


@dataclass(frozen=True, slots=True)
class Round:
    """What a round has left behind."""

    course: Course
    done: Mapping[str, int]
    operators: Operators
    organizations: Organizations
    traffic: Traffic
    consumed: bool


async def verdict(round_: Round) -> Report:
    world = round_.course.world
    found = await evidence.gather(world.jira.truth(), world.connection, world.azure)
    again = findings.repeats(_arrived(world.azure), _unrest(round_.course))
    states = {name: shown(each) for name, each in (await organizations(world.connection)).items()}
    faults = [
        *_judged(found, round_),
        *_some(
            "out of order",
            findings.disorder(found.landed, round_.traffic.visible, round_.organizations.wrong_clocks),
        ),
        *_some("came again at the sink for no reason", again.inexplicable),
        *findings.broken_history(await _changes(world.connection), states),
        *round_.operators.wrong,
        *round_.course.unclean,
        *_deaths(world.slots),
        *_leaks(world.directory),
    ]
    told = f"{again.rows} rows came again at the sink, {again.unanswered} of them after an answer that nobody got."
    return Report([*_facts(found, round_), told, *_tales(world.directory)], faults)


def _unrest(course: Course) -> list[tuple[float, float]]:
    consumers = [slot for slot in course.world.slots if slot.consumes]
    return [*course.unrest, *((death.at, death.at) for slot in consumers for death in slot.deaths)]


def _judged(found: Evidence, round_: Round) -> Iterable[str]:
    judged = judge(found, now_ms())
    yield from judged.remarks
    for one in judged.organizations:
        yield from _faults(one, consumed=round_.consumed, tail_lost=round_.done.get("lost tail", 0) > 0)


def _facts(found: Evidence, round_: Round) -> Iterable[str]:
    yield "Done: " + ", ".join(f"{count} {kind}" for kind, count in sorted(round_.done.items()) if count)
    happened = sum(map(len, found.truth.values()))
    modes = [one.event["mode"] for one in found.landed]
    yield f"{happened} records happened in {len(found.truth)} organizations."
    yield f"{len(modes)} events stand in Kafka: " + ", ".join(
        f"{modes.count(mode)} {mode}" for mode in ("live", "late", "backfill")
    )
    if round_.consumed:
        yield f"{len(found.stored)} rows stand at the sink."


def _faults(one: Judged, *, consumed: bool, tail_lost: bool) -> Iterable[str]:
    """An event that Kafka has lost is collected again: its row at the sink tells of the first time."""
    wrong = [
        each for each in one.wrong if not (tail_lost and set(each.names) <= {"CollectedTime", "EventMode"})
    ]
    at_sink = {"missing at the sink": one.missing_at_sink} if consumed else {}
    kinds = {
        "missing in Kafka": one.missing_in_kafka,
        "more than once in Kafka": one.repeated_in_kafka,
        "arrived, but never happened": one.strangers,
        "with other values than they had": wrong,
        **at_sink,
    }
    for what, which in kinds.items():
        yield from _some(f"{one.organization}: {what}", which)


def _deaths(slots: Iterable[Slot]) -> Iterable[str]:
    for slot in slots:
        for death in slot.deaths:
            if not death.excused:
                yield f"{slot.name} ended by itself ({death.code}): {death.words}"


def _tales(directory: Path) -> Iterable[str]:
    """How often the relay itself told of what is rare and dangerous."""
    logs = "".join(path.read_text(errors="replace") for path in directory.glob("*.log"))
    for message in TALES:
        yield f"{logs.count(message)} times: {message}"


def _leaks(directory: Path) -> Iterable[str]:
    """Every token of a simulated site begins alike, and so none may stand in any log, nor in what Kafka has on disk."""
    for path in (*directory.glob("*.log"), *directory.glob("kafka/**/*.log")):
        if TOKEN in path.read_bytes():
            yield f"An API key stands in {path}"


def _some(what: str, which: Sequence[Any]) -> Iterable[str]:
    if which:
        listed = ", ".join(map(str, which[:SHOWN]))
        yield f"{what}: {len(which)} ({listed}{', …' if len(which) > SHOWN else ''})"


def _arrived(azure: AzureWorld) -> list[Arrived]:
    calls = {call.request_id: call for call in azure.calls}
    arrivals = sorted(
        (arrival for table in (LIVE, HISTORY) for arrival in azure.table(table).arrivals),
        key=lambda arrival: arrival.number,
    )
    return [
        Arrived(
            str(arrival.row["EventUid"]),
            calls[arrival.request_id].at,
            calls[arrival.request_id].status != 204,
        )
        for arrival in arrivals
    ]


async def _changes(connection: Connection) -> list[dict[str, Any]]:
    place = TopicPartition(Topics(connection.kafka.topic_prefix).changes, 0)
    records: list[Record] = []
    async with standalone_consumer(connection) as reader:
        span = (await stable_bounds(reader, [place]))[place]
        await read_to_end(
            reader, {place: span.log_start_offset}, {place: span.last_stable_offset}, records.append
        )
    codec = InternalCodec("change")
    return [codec.decode(record.value or b"") for record in records]

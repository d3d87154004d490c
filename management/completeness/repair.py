"""Repair a day: what each difference asks for, planned first and then started as jobs of the relay."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import Kinds
from management.completeness.collect import ProofContext, count_days
from management.completeness.proof import DayAccount, DeliveryDay, DeliveryState
from management.completeness.read_back import with_read_back
from management.completeness.read_back_day import id_of_uid
from management.completeness.remedies import remedies, remedies_at
from management.completeness.source_listing import read_records
from management.completeness.texts import ids_text
from management.dead_letter_redrive import RedriveRequest, plan_redrive, require_no_other
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from management.replay.jobs import read_replays, submit
from management.replay.request import MAX_EVENTS, ReplayRequest
from management.replay.start import plan_replay
from management.unreadable_redrive import ParseRecord, plan_unreadable_redrive, require_no_other_unreadable
from producer.events import UnreadableRecord
from producer.publishing.dead_letters import dead_letter_records
from producer.sources.contract import Source
from relay.change_log import write_change
from relay.dead_letters.selection import LetterSelection
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import Topics, partition_of
from relay.quantities import quantity
from relay.replays.job import ReplayJob
from relay.timestamps import DAY_MS, day_start

FOUND_MISSING = "The count of its day found this record in the audit log, and not in Kafka."
"""The reason of the dead letters that a repair writes."""
_LETTER_BYTES = 900_000
_AGAIN: Sequence[DeliveryState] = ("lost", "skipped")
"""What became of events that a replay delivers again, beside those that a destination was read back without."""

Step = Literal["read again", "replay", "redrive", "nothing"]


@dataclass(frozen=True, slots=True)
class RepairStep:
    """One thing that a repair does, or why it does nothing about a difference. `records`: raw records by id, to be published."""

    step: Step
    text: str
    job: ReplayJob | None = None
    records: Mapping[int, bytes] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {"step": self.step, "text": self.text, "replay": None if self.job is None else self.job.id}


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What a repair of a day would do. `findings`: what differs."""

    organization: str
    day: str
    state: str
    findings: Sequence[str]
    steps: Sequence[RepairStep]

    @property
    def does_something(self) -> bool:
        return any(each.step != "nothing" for each in self.steps)

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "organization": self.organization,
            "day": self.day,
            "state": self.state,
            "findings": list(self.findings),
            "steps": [each.document() for each in self.steps],
        }


@dataclass(frozen=True, slots=True)
class RepairContext:
    """The means to repair. `who`: the operator's name in the history of changes. `to_live`: replays go to where new events go."""

    proof: ProofContext
    parse_record: ParseRecord
    who: str
    to_live: bool = False
    kinds: Kinds = field(default_factory=lambda: DESTINATIONS)

    @property
    def connection(self) -> Connection:
        return self.proof.connection


async def plan_repair(
    context: RepairContext, organization: str, day: str, source: Source | None
) -> RepairPlan:
    """Count a day, and return what can be mended. Writes nothing. Raises RelayError."""
    proof = context.proof
    counted = await count_days(proof, organization, [day], source)
    counted = await with_read_back(
        counted, organization, proof.destinations, proof.connection, proof.now_ms()
    )
    account = counted.days[day].account
    steps = [
        *await _source_steps(context, account, source),
        *map(_nothing, remedies(account)),
        *[
            step
            for name, found in sorted(account.destinations.items())
            for step in await _destination_steps(context, account, name, found)
        ],
    ]
    return RepairPlan(organization, day, account.state, account.findings(), steps)


async def run_repair(context: RepairContext, plan: RepairPlan) -> list[str]:
    """Do what a plan says, and record who did it. Return a sentence for each thing that was done.

    A failure ends it; what was done before stays, and a new plan shows what is left. Raises RelayError.
    """
    done, started, now = list[str](), list[str](), context.proof.now_ms()
    try:
        for step in plan.steps:
            job = step.job
            if step.step == "read again":
                job = await _read_again(context, plan.organization, step.records)
            if job is not None:
                failure = await submit(context.connection, job)
                started.append(job.id)
                done.append(f"{step.text} Replay {job.id}." + (f" {failure}" if failure else ""))
    finally:
        if started:
            facts = {"day": plan.day, "replays": started}
            with kafka_errors_as_relay_errors(context.connection):
                await write_change(
                    context.connection, plan.organization, context.who, now, "day repaired", None, facts
                )
    return done


async def _source_steps(
    context: RepairContext, account: DayAccount, source: Source | None
) -> list[RepairStep]:
    steps = list[RepairStep]()
    # The producers publish no id that the ledger has, so an event that was deleted from its topic cannot be read again.
    missing = [each for each in account.differences.missing if each not in (account.kafka.ledger or ())]
    if missing and source is not None:
        records = await read_records(source, account.day, missing[:MAX_EVENTS])
        text = f"The producers publish {quantity(len(records), 'event')} that Kafka lacks, read from the audit log again ({ids_text(sorted(records))})."
        gone = _nothing("The audit log does not list the missing events any more. Plan again.")
        steps.append(RepairStep("read again", text, records=records) if records else gone)
    if account.source is not None and account.source.dead_letters:
        steps.append(await _redrive_records(context, account.organization))
    return steps


async def _redrive_records(context: RepairContext, organization: str) -> RepairStep:
    now, selection = context.proof.now_ms(), LetterSelection(organizations=frozenset({organization}))
    plan = await plan_unreadable_redrive(
        context.connection, context.parse_record, selection, context.who, now
    )
    if plan.job is None:
        return _nothing("This release cannot read the records that are dead letters of a producer.")
    try:
        await require_no_other_unreadable(context.connection, plan.job.organizations, now)
    except InputError as error:
        return _nothing(str(error))
    text = f"The producers read {plan.readable.total():,} dead letters of {organization} again, and publish those that Kafka lacks."
    return RepairStep("redrive", text, plan.job)


async def _destination_steps(
    context: RepairContext, account: DayAccount, name: str, found: DeliveryDay
) -> list[RepairStep]:
    steps = list[RepairStep]()
    again = {each for word in _AGAIN for each in found.ids.get(word, ())}
    if (read_back := account.read_back.get(name)) is not None:
        again |= {id_of_uid(uid) for uid in read_back.missing}
    if again:
        steps += await _planned(name, _replay(context, account, name, sorted(again)))
    if found.counts.get("dead letter"):
        steps += await _planned(name, _redrive(context, account.organization, name))
    return [*steps, *map(_nothing, remedies_at(account, name))]


async def _planned(name: str, steps: Awaitable[list[RepairStep]]) -> list[RepairStep]:
    """Return the steps at a destination, or why there is none; what else it needs is planned all the same."""
    try:
        return await steps
    except InputError as error:
        return [_nothing(f"{name}: {error}")]


async def _replay(
    context: RepairContext, account: DayAccount, name: str, ids: Sequence[int]
) -> list[RepairStep]:
    start, now = day_start(account.day), context.proof.now_ms()
    wanted = [f"{account.organization}/{each}" for each in ids[:MAX_EVENTS]]
    for view in (await read_replays(context.connection, now)).views:
        if view.job.destination == name and not view.ended and not {*wanted}.isdisjoint(view.job.events):
            raise InputError(
                f"The replay {view.job.id} sends it events of this day already. Wait until it has ended (`jira-relay replay follow"
                f" {view.job.id}`), or cancel it."
            )
    request = ReplayRequest(name, "created", start, start + DAY_MS, events=wanted, to_live=context.to_live)
    planned = await plan_replay(context.connection, context.proof.destinations, request, now, context.kinds)
    text = f"{name} gets {quantity(len(wanted), 'event')} again ({ids_text(ids)})."
    return [RepairStep("replay", " ".join((text, *planned.notes)), planned.job(context.who, now))]


async def _redrive(context: RepairContext, organization: str, name: str) -> list[RepairStep]:
    now, connection = context.proof.now_ms(), context.connection
    request = RedriveRequest(LetterSelection(name, organizations=frozenset({organization})), context.to_live)
    plan = await plan_redrive(
        *(
            connection,
            context.proof.destinations,
            context.proof.registry,
            request,
            context.who,
            now,
            context.kinds,
        )
    )
    await require_no_other(connection, plan.jobs, now)
    steps = [
        RepairStep(
            "redrive", f"{name} gets {each.letters.events:,} dead letters of {organization} again.", each.job
        )
        for each in plan.jobs
    ]
    left = [_nothing(f"{name}: {count:,} dead letters stay open. {why}") for why, count in plan.left.items()]
    return [*steps, *left]


async def _read_again(
    context: RepairContext, organization: str, records: Mapping[int, bytes]
) -> ReplayJob | None:
    """Write records as dead letters of a producer, and return the job in which the producers publish those that Kafka lacks.

    So the ledger decides in the transaction of the event, as for every redrive: what is published meanwhile is not published twice.
    """
    connection, now = context.connection, context.proof.now_ms()
    topic = Topics(connection.kafka.topic_prefix).dead_letters
    with kafka_errors_as_relay_errors(connection):
        await require_no_other_unreadable(connection, [organization], now)
        partition = partition_of(organization, await read_shard_count(connection))
        async with RecordWriter(connection) as writer:
            for raw in records.values():
                for each in dead_letter_records(
                    UnreadableRecord(FOUND_MISSING, raw),
                    topic=topic,
                    partition=partition,
                    organization=organization,
                    at_ms=now,
                    max_value_bytes=_LETTER_BYTES,
                ):
                    await writer.send(
                        topic,
                        each.key,
                        each.value,
                        partition=partition,
                        headers=each.headers,
                        timestamp_ms=now,
                    )
    selection = LetterSelection(organizations=frozenset({organization}), reason=FOUND_MISSING)
    plan = await plan_unreadable_redrive(connection, context.parse_record, selection, context.who, now)
    if plan.job is None:
        raise RelayError(
            f"The records of {organization} are written as dead letters, and none can be read again: {_left_text(plan.still)}"
        )
    return plan.job


def _left_text(reasons: Mapping[str, int]) -> str:
    """Return why letters stay open."""
    return "; ".join(f"{count:,}: {why}" for why, count in reasons.items()) or "no letter was found."


def _nothing(text: str) -> RepairStep:
    return RepairStep("nothing", text)

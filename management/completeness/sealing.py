"""Count and seal days of one partition at a time, in one chain an organization. Two sealers cannot fork a chain (decision 46)."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from management.completeness.audit_logs import SourceOf
from management.completeness.collect import ProofContext, count_partition
from management.completeness.counted_day import Counted
from management.completeness.day_seal import changes_since, day_account, next_seal
from management.completeness.due_days import DueDays
from management.completeness.export import StoredSeal
from management.completeness.proof import DayAccount, DayState
from management.completeness.seal_index import OrganizationSeals, SealIndex
from management.completeness.seal_store import (
    PARTITION,
    account_record,
    read_day,
    removed_account,
    require_topic,
    seal_record,
)
from management.completeness.seal_view import PATIENT, SealView
from management.completeness.signature import SigningKey
from management.completeness.topic_scan import PassedDay
from management.completeness.verifier import Statement, canonical_text
from management.organizations.store import kafka_errors_as_relay_errors
from relay.errors import RelayError
from relay.kafka import TopicPartition
from relay.kafka.producer import ProducerRecord
from relay.kafka.publish_errors import PublishError
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer

MAX_RECORDS = 200
"""Of one transaction; an organization's are never divided."""
COUNTING_MS = 3_600_000
"""Between the first look at the events of a day and its seal, at most."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CountedState:
    """What is kept of an account while a round goes on: its state, how many ids its ledger has, and what differs, as sentences."""

    state: DayState
    ids: int = 0
    findings: str = ""


@dataclass(frozen=True, slots=True)
class SealResult:
    """What was sealed of an organization. `failure`: why not all of it was; None: nothing failed.

    `unread`: sealed days that were to be compared, and of which Kafka has too little. `is_reached`: False where its partition
    could not be read. `counted`: what was counted, by day, without its events: a round has the results of all organizations.
    """

    organization: str
    seals: Sequence[Statement] = ()
    failure: str | None = None
    unread: Sequence[str] = ()
    is_reached: bool = True
    counted: Mapping[str, CountedState] = field(default_factory=dict)


@dataclass(slots=True)
class _Draft:
    """The records of one organization that wait for their transaction, and the day of each seal among them."""

    found: OrganizationSeals
    records: list[ProducerRecord] = field(default_factory=list)
    seals: list[tuple[int, Statement]] = field(default_factory=list)
    """The place of each seal among the records."""
    unread: list[str] = field(default_factory=list)
    failure: str | None = None
    """Why the draft ends before a day that was due."""


class Sealer:
    """Counts and seals days. Opening it fences every other sealer, so its index is the present one as long as it can publish."""

    def __init__(
        self, context: ProofContext, key: SigningKey, producer: TransactionalProducer, index: SealIndex
    ) -> None:
        self._context, self._key, self._producer, self.index = context, key, producer, index
        self._topic = Topics(context.connection.kafka.topic_prefix).seals
        self._accounts: dict[tuple[str, str], bytes] = {}
        """The hash of each account that this sealer has written, without its time."""
        self.ended = False
        """Whether a publication has failed: nothing more can be sealed."""

    async def seal(
        self, partition: int, due: Mapping[str, DueDays], source_of: SourceOf
    ) -> Mapping[str, SealResult]:
        """Count days of organizations of one partition in one pass, and publish their seals and accounts.

        A sealed day that has got other events since is sealed again. Raises RelayError if Kafka fails, or another sealer has begun.
        """
        whole = {name: days for name, days in due.items() if self.index.of(name).verify_end() is None}
        wanted = {name: days for name, each in whole.items() if (days := each.all)}
        counted = await self._count(partition, wanted, source_of)
        late = {
            name: days
            for name, each in counted.items()
            if (
                days := sorted(
                    day for day in each.passed if self._has_later_events(name, day, each.passed[day])
                )
            )
        }
        counted_late = await self._count(partition, late, source_of)
        results = {
            name: SealResult(name, failure=_broken(str(self.index.of(name).verify_end())))
            for name in due
            if name not in whole
        }
        try:
            drafts = [
                await self._draft(self.index.of(name), whole[name], counted[name], counted_late.get(name))
                for name in wanted
            ]
            await self._publish(drafts)
        except BaseException:
            self.ended = True  # the index is ahead of Kafka, or of what is known of it
            raise
        for draft in drafts:
            name = draft.found.name
            states = await asyncio.to_thread(_states_of, counted[name])
            seals = [statement for _, statement in draft.seals]
            results[name] = SealResult(name, seals, draft.failure, draft.unread, counted=states)
        return {name: results.get(name, SealResult(name)) for name in due}

    async def _count(
        self, partition: int, wanted: Mapping[str, Sequence[str]], source_of: SourceOf
    ) -> Mapping[str, Counted]:
        return await count_partition(self._context, partition, wanted, source_of) if wanted else {}

    def _has_later_events(self, name: str, day: str, passed: PassedDay) -> bool:
        """Return whether a sealed day has an event that its seal may not have: behind the last offset there, or collected later.

        Offsets count, since the clock of a sealer or of a producer may have been wrong; times, since a topic may be created anew.
        """
        mark = self.index.of(name).sealed.get(day)
        if mark is None:
            return False
        behind = any(last > mark.end_on(place) for place, last in passed.offsets.items())
        return behind or passed.collected + COUNTING_MS > mark.at

    async def _draft(
        self, found: OrganizationSeals, due: DueDays, counted: Counted, late: Counted | None
    ) -> _Draft:
        """Return the records of an organization: first seals, then seals of days that have changed, then changed accounts.

        A thread makes the trees: those of a large day would hold up everything else of the process for seconds.
        """
        draft = _Draft(found)
        again = {day: counted.days[day].account for day in due.again}
        if late is not None:
            again |= {day: each.account for day, each in late.days.items()}
        for day in due.sealing:
            await asyncio.to_thread(self._add_seal, draft, counted.days[day].account, "")
        for day, account in again.items():
            if not account.kafka.kept or account.kafka.corrupt:
                draft.unread.append(day)
            elif changes := await self._changes(found, account):
                await asyncio.to_thread(self._add_seal, draft, account, " ".join(changes))
        for day in due.counting:
            await asyncio.to_thread(self._add_account, draft, counted.days[day].account)
        return draft

    async def _changes(self, found: OrganizationSeals, account: DayAccount) -> list[str]:
        """Return what a day has now that its seal says otherwise. Raises RelayError if the seal is gone."""
        with kafka_errors_as_relay_errors(self._context.connection):
            stored = await read_day(self._context.connection, found.offsets(account.day)[-1:])
        if not stored:
            raise RelayError(
                f"The seal of {account.day} of {found.name} cannot be found on its topic any more."
            )
        return await asyncio.to_thread(changes_since, stored[0].statement, account)

    def _add_seal(self, draft: _Draft, account: DayAccount, reason: str) -> None:
        """Add a seal. After one that does not fit its chain, none of the organization is added."""
        found, day = draft.found, account.day
        if draft.failure is not None:
            return
        signed = next_seal(found.chain, account, self._key, self._context.now_ms(), reason)
        seal, had_account = StoredSeal(signed, json.loads(signed.text)), day in found.accounts
        found.take(seal, -1)
        if found.fault is not None:
            draft.failure = found.fault
            return
        if had_account:
            draft.records.append(removed_account(self._topic, found.name, day))
        draft.seals.append((len(draft.records), seal.statement))
        draft.records.append(seal_record(self._topic, seal))
        self._accounts.pop((found.name, day), None)

    def _add_account(self, draft: _Draft, account: DayAccount) -> None:
        """Add the account of a day without a seal, if it says something new."""
        signed = day_account(account, self._context.now_ms())
        statement = json.loads(signed.text)
        timeless = {name: value for name, value in statement.items() if name != "counted_at"}
        known = hashlib.sha256(canonical_text(timeless)).digest()
        if self._accounts.get((account.organization, account.day)) != known:
            self._accounts[account.organization, account.day] = known
            draft.records.append(account_record(self._topic, signed))
            draft.found.take(StoredSeal(signed, statement), -1)

    async def _publish(self, drafts: Sequence[_Draft]) -> None:
        """Publish the drafts, each whole in one transaction, several of them in one."""
        together = list[_Draft]()
        for draft in drafts:
            if together and sum(len(each.records) for each in (*together, draft)) > MAX_RECORDS:
                await self._publish_together(together)
                together = []
            together.append(draft)
        await self._publish_together(together)

    async def _publish_together(self, drafts: Sequence[_Draft]) -> None:
        records = [record for draft in drafts for record in draft.records]
        if not records:
            return
        try:
            offsets = await self._producer.publish(records)
        except PublishError as error:
            raise _publish_failure(error) from error
        at = 0
        for draft in drafts:
            for place, statement in draft.seals:
                draft.found.place(statement["day"], offsets[at + place])
            at += len(draft.records)


def _states_of(counted: Counted) -> Mapping[str, CountedState]:
    """Return what is kept of the accounts, by day."""
    return {
        day: CountedState(
            each.account.state, len(each.account.kafka.ledger or ()), " ".join(each.account.findings())
        )
        for day, each in counted.days.items()
    }


@asynccontextmanager
async def open_sealer(context: ProofContext, key: SigningKey) -> AsyncIterator[Sealer]:
    """Yield a sealer.

    1. Opening the producer fences every other sealer.
    2. A transaction that a killed sealer left open hides later records, so it is ended before the chains are read.
    3. What this sealer publishes is committed only if no other one has opened since.

    Raises RelayError if Kafka fails, or has no transactions: nothing would keep two sealers apart there.
    """
    connection = context.connection
    if not connection.profile.transactions:
        raise RelayError(
            "Days cannot be sealed on a cluster without transactions: two sealers could fork a chain."
        )
    topic = Topics(connection.kafka.topic_prefix).seals
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        await require_topic(connection)
        producer = await TransactionalProducer.open(connection, f"{topic}.{PARTITION}")
        try:
            await producer.end_hanging([TopicPartition(topic, PARTITION)])
            view = SealView(connection, context.now_ms, PATIENT)
            if (state := await view.refresh()).failure is not None:
                raise RelayError(state.failure)
            if view.unread_batches:
                raise RelayError(f"The topic of seals cannot be read whole. {view.unread_batches[0]}")
            for text in view.index.problems:
                log.warning("A record of the topic of seals is passed over.", reason=text)
            yield Sealer(context, key, producer, view.index)
        finally:
            await producer.discard()


def _broken(fault: str) -> str:
    return (
        f"The chain of seals is broken, so nothing is added to it. {fault} A record of the topic of seals was deleted or changed;"
        " restore the topic from a copy."
    )


def _publish_failure(error: PublishError) -> RelayError:
    if error.fenced:
        return RelayError(
            "Another sealer has begun, so this one ended; what it had published is whole. Run it once at a time."
        )
    return RelayError(
        f"It is not known whether the last seals are written: {error} Run the command again: it reads the chains first."
    )

"""Seal the days that are over, in one chain an organization. Two sealers cannot fork a chain (decision 46)."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta

from consumer.losses.lost_range import SOURCE_DAYS
from management.completeness.collect import Counted, ProofContext, count_days
from management.completeness.day_seal import changes_since, next_seal
from management.completeness.export import StoredSeal
from management.completeness.progress import RecordedProgress, end_of_lateness, read_progress
from management.completeness.proof import DayAccount
from management.completeness.seal_store import (
    PARTITION,
    StoredChain,
    chain_of,
    read_chains,
    require_topic,
    seal_record,
)
from management.completeness.signature import SigningKey
from management.completeness.verifier import SealChain, Statement
from management.formatting import iso_milliseconds
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from producer.sources.contract import Source
from relay.errors import RelayError, describe, sentence
from relay.kafka import TopicPartition
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import Topics, partition_of
from relay.kafka.transactions import TransactionalProducer
from relay.timestamps import DAY_MS, day_of

MAX_FAILURES = 3
"""Organizations in a row that fail before a run ends: then it is Kafka that fails."""
MAX_DAYS = 31
"""Days of one organization that are counted and published together."""
COUNTING_MS = 3_600_000
"""Between the first look at the events of a day and its seal, at most."""


@dataclass(frozen=True, slots=True)
class SealResult:
    """What was sealed of an organization. `failure`: why not all of it was; None: nothing failed."""

    organization: str
    seals: Sequence[Statement] = ()
    failure: str | None = None


class Sealer:
    """Seals days. Opening it fences every other sealer, so its chains are the present ones as long as it can publish."""

    def __init__(
        self,
        context: ProofContext,
        key: SigningKey,
        late_days: int,
        producer: TransactionalProducer,
        chains: Mapping[str, StoredChain],
    ) -> None:
        self._context, self._key, self._late_days = context, key, late_days
        self._producer, self._chains = producer, chains
        self.ended = False
        """Whether a publication has failed: nothing more can be sealed."""

    async def seal_due_days(self, organization: str, source: Source | None) -> SealResult:
        """Seal every day that is over, and each sealed day that has got other events since.

        Raises RelayError if Kafka fails, or another sealer has begun.
        """
        stored = self._chains.get(organization, chain_of(organization, ()))
        if stored.fault is not None:
            return SealResult(organization, failure=_broken(stored.fault))
        chain, done = stored.chain, list[Statement]()
        progress = await self._progress(organization)
        due = due_days(progress, chain, self._context.now_ms(), self._late_days)
        for days in _chunks(due):
            counted = await count_days(self._context, organization, days, source)
            done += await self._publish(chain, [(counted.days[day].account, "") for day in days])
            late = [day for day, seal in chain.days.items() if _has_later_events(seal, counted, day)]
            for again in _chunks(sorted(late)):
                done += (await self._seal_again(organization, chain, again, source))[0]
        return SealResult(organization, done)

    async def seal_day(self, organization: str, day: str, source: Source | None) -> SealResult:
        """Seal a sealed day again if its account has changed. Raises InputError for a day without a seal, and RelayError."""
        stored = self._chains.get(organization, chain_of(organization, ()))
        if stored.fault is not None:
            return SealResult(organization, failure=_broken(stored.fault))
        if day not in stored.chain.days:
            raise InputError(
                f"{day} of {organization} has no seal yet. Run `jira-relay proof seal {organization}`, which seals the days that are over."
            )
        seals, unread = await self._seal_again(organization, stored.chain, [day], source)
        failure = (
            f"{day} was not compared, and its seal stays: Kafka's retention or damage has come to its events."
        )
        return SealResult(organization, seals, failure if unread else None)

    async def _seal_again(
        self, organization: str, chain: SealChain, days: Sequence[str], source: Source | None
    ) -> tuple[list[Statement], list[str]]:
        """Seal the days that have changed. Return their seals, and the days of which Kafka has too little to tell."""
        counted = await count_days(self._context, organization, days, source)
        changed, unread = list[tuple[DayAccount, str]](), list[str]()
        for day in days:
            account = counted.days[day].account
            if not account.kafka.kept or account.kafka.corrupt:
                unread.append(day)
            elif changes := changes_since(chain.days[day], account):
                changed.append((account, " ".join(changes)))
        return await self._publish(chain, changed), unread

    async def _publish(self, chain: SealChain, accounts: Sequence[tuple[DayAccount, str]]) -> list[Statement]:
        """Publish the seals of these accounts in one transaction, each with the reason of a further edition."""
        topic, seals = Topics(self._context.connection.kafka.topic_prefix).seals, list[StoredSeal]()
        for account, reason in accounts:
            signed = next_seal(chain, account, self._key, self._context.now_ms(), reason)
            seal = StoredSeal(signed, json.loads(signed.text))
            if (fault := chain.add(seal.statement, signed.hash)) is not None:
                raise RelayError(f"{account.day} of {account.organization} was not sealed: {fault}.")
            seals.append(seal)
        if seals:
            try:
                await self._producer.publish([seal_record(topic, each) for each in seals])
            except PublishError as error:
                self.ended = True
                raise _publish_failure(error) from error
        return [each.statement for each in seals]

    async def _progress(self, organization: str) -> RecordedProgress:
        connection = self._context.connection
        with kafka_errors_as_relay_errors(connection):
            partition = partition_of(organization, await read_shard_count(connection))
            return (await read_progress(connection, partition, [organization]))[organization]


@asynccontextmanager
async def open_sealer(context: ProofContext, key: SigningKey, late_days: int) -> AsyncIterator[Sealer]:
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
            yield Sealer(context, key, late_days, producer, await read_chains(connection))
        finally:
            await producer.discard()


async def seal_each(
    sealer: Sealer, names: Sequence[str], seal: Callable[[str], Awaitable[SealResult]]
) -> list[SealResult]:
    """Seal one organization after the other. One that fails holds up no other, and its failure is in its result. Raises InputError."""
    results, failures = list[SealResult](), 0
    for done, name in enumerate(names, 1):
        try:
            results.append(await seal(name))
            failures = 0
        except InputError:
            raise
        except RelayError as error:
            failures += 1
            over = sealer.ended or failures == MAX_FAILURES
            rest = f" {len(names) - done:,} organizations after it were not sealed." if over else ""
            results.append(SealResult(name, failure=f"{sentence(describe(error))}{rest}"))
            if over:
                break
    return results


def due_days(progress: RecordedProgress, chain: SealChain, now_ms: int, late_days: int) -> list[str]:
    """Return the days that are over and have no seal, in their order. Pure."""
    if progress.checkpoint is None:
        return []
    if chain.last_day is None:
        first = _date(progress.checkpoint.live_since)
    else:
        first = chain.last_day + timedelta(days=1)
    day, days = max(first, _date(now_ms - (SOURCE_DAYS - 1) * DAY_MS)), list[str]()
    while end_of_lateness(day.isoformat(), late_days) <= now_ms and progress.is_past_late_records(
        day.isoformat(), late_days
    ):
        days.append(day.isoformat())
        day += timedelta(days=1)
    return days


def _date(ms: int) -> date:
    return date.fromisoformat(day_of(ms))


def _chunks(days: Sequence[str]) -> list[Sequence[str]]:
    return [days[at : at + MAX_DAYS] for at in range(0, len(days), MAX_DAYS)]


def _has_later_events(seal: Statement, counted: Counted, day: str) -> bool:
    """Return whether a sealed day has an event that its seal may not have: behind the last offset there, or collected later.

    Offsets count, since the clock of a sealer or of a producer may have been wrong; times, since a topic may be created anew.
    """
    passed = counted.passed.get(day)
    if passed is None:
        return False
    sealed: Mapping[str, Sequence[int]] = seal["kafka"]["offsets"]
    behind = any(last > sealed[name][1] if name in sealed else True for name, last in passed.offsets.items())
    return behind or iso_milliseconds(passed.collected + COUNTING_MS) > seal["sealed_at"]


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

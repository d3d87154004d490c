"""The accounts of days: every hop of an organization is counted, and a difference counts once a second look shows it too."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from consumer.destinations.contract import DestinationConfig
from management.change_history import ChangeHistory
from management.completeness.delivery_account import (
    DestinationProgress,
    Letters,
    delivery_day,
    read_destination,
    read_letters,
)
from management.completeness.progress import RecordedProgress, read_progress
from management.completeness.proof import DayAccount, KafkaDay, SourceDay
from management.completeness.source_listing import list_day
from management.completeness.topic_scan import PassedDay, PlacedEvent, TopicScan, partition_name, scan_topics
from management.events.delivery import read_moves
from management.organizations.store import kafka_errors_as_relay_errors
from management.topic_follower import FollowerTiming
from producer.sources.contract import Source
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import partition_of

_HISTORY = FollowerTiming(read_seconds=60.0)


@dataclass(frozen=True, slots=True)
class ProofContext:
    """The means to count days. `second_look_seconds`: the pause before it; a transaction ends within."""

    connection: Connection
    registry: SchemaRegistryConfig
    destinations: Mapping[str, DestinationConfig]
    now_ms: Callable[[], int]
    second_look_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class CountedDay:
    """The account of a day, and the events that it counts, with their places."""

    account: DayAccount
    events: Sequence[PlacedEvent] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """The accounts of an organization by day, and what its producers have recorded."""

    days: Mapping[str, CountedDay]
    progress: RecordedProgress
    passed: Mapping[str, PassedDay] = field(default_factory=dict)
    """The other days of which an event was found on the way."""


async def count_days(
    context: ProofContext, organization: str, days: Sequence[str], source: Source | None
) -> Counted:
    """Return the accounts of days. `source` None: the audit log is not asked.

    Kafka is read before the audit log, and each ledger before its topic, so an event that arrives meanwhile is no difference
    that lasts. Raises RelayError if Kafka cannot be read.
    """
    with kafka_errors_as_relay_errors(context.connection):
        partition = partition_of(organization, await read_shard_count(context.connection))
        moves = await read_moves(ChangeHistory(context.connection, context.now_ms, _HISTORY))
        if isinstance(moves, str):
            raise RelayError(f"The history of changes cannot be read: {moves}")
        destinations = [
            await read_destination(context.connection, name, partition, moves)
            for name in context.destinations
        ]
        letters = await read_letters(context.connection, organization)
        look = _Look(context, organization, partition, days, destinations, letters)
        progress, scan = await look.read()
        listed = await look.list_days(source, progress, scan) if source else {}
        first = {day: look.count(day, progress, scan, listed.get(day)) for day in days}
        if any(each.account.differences.named() for each in first.values()):
            await asyncio.sleep(context.second_look_seconds)
            progress, scan = await look.read()
        counted = {
            day: _confirmed(first[day], look.count(day, progress, scan, listed.get(day))) for day in days
        }
    return Counted(counted, progress, {day: each for (_, day), each in scan.passed.items()})


def _confirmed(first: CountedDay, second: CountedDay) -> CountedDay:
    return replace(second, account=replace(second.account, seen_before=first.account.differences))


@dataclass(frozen=True, slots=True)
class _Look:
    """Counts the days of one organization."""

    context: ProofContext
    organization: str
    partition: int
    days: Sequence[str]
    destinations: Sequence[DestinationProgress]
    letters: Letters

    async def read(self) -> tuple[RecordedProgress, TopicScan]:
        context, name = self.context, self.organization
        progress = (await read_progress(context.connection, self.partition, [name]))[name]
        scan = await scan_topics(
            context.connection,
            context.registry,
            context.destinations,
            self.partition,
            [name],
            self.days,
            context.now_ms(),
        )
        return progress, scan

    async def list_days(
        self, source: Source, progress: RecordedProgress, scan: TopicScan
    ) -> Mapping[str, SourceDay]:
        """List one day after the other. After a refused key or a limit nothing more is asked, as each attempt would count."""
        listed, last = dict[str, SourceDay](), SourceDay()
        for day in self.days:
            last = last if last.is_general else await self._list(source, day, progress, scan)
            listed[day] = last
        return listed

    async def _list(self, source: Source, day: str, progress: RecordedProgress, scan: TopicScan) -> SourceDay:
        known = {each.key.id for each in scan.events.get((self.organization, day), ())}
        hashes = {each for ledger in progress.ledgers.values() for each in ledger.dead_letters}
        hashes |= self.letters.of_producers.get(self.organization, set())
        known |= progress.ids(day) or set()
        return await list_day(source, day, progress, known, hashes, self.context.now_ms())

    def count(
        self, day: str, progress: RecordedProgress, scan: TopicScan, listed: SourceDay | None
    ) -> CountedDay:
        events = scan.events.get((self.organization, day), [])
        kafka = KafkaDay(
            [each.key for each in events],
            scan.is_kept(day),
            progress.ids(day),
            scan.undecodable.get(self.organization, 0),
            len(scan.corrupt),
        )
        delivered = {each.name: delivery_day(each, events, self.letters) for each in self.destinations}
        account = DayAccount(self.organization, day, listed, kafka, delivered, _offsets(events))
        return CountedDay(account, events)


def _offsets(events: Sequence[PlacedEvent]) -> Mapping[str, tuple[int, int]]:
    places: dict[str, list[int]] = {}
    for each in events:
        places.setdefault(partition_name(each.place), []).append(each.place.offset)
    return {name: (min(offsets), max(offsets)) for name, offsets in places.items()}

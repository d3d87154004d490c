"""The accounts of days: every hop is counted in one pass of a partition, and a difference counts once a second look shows it too."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig
from consumer.losses.store import LossStore
from management.change_history import ChangeEntry, ChangeHistory
from management.completeness.audit_logs import SourceOf
from management.completeness.counted_day import Counted, CountedDay
from management.completeness.delivery_account import (
    DestinationProgress,
    Letters,
    delivery_day,
    read_destination,
    read_letters,
)
from management.completeness.progress import RecordedProgress, read_progress
from management.completeness.proof import DayAccount, KafkaDay, SourceDay
from management.completeness.replayed_events import replayed_to
from management.completeness.seen_records import SeenRecords
from management.completeness.source_listing import LISTING_SECONDS, ListingFacts, list_days
from management.completeness.topic_scan import PlacedEvent, TopicScan, partition_name, scan_topics
from management.events.delivery import read_moves
from management.organizations.store import kafka_errors_as_relay_errors
from management.replay.jobs import read_replays
from management.replay.request import target_address
from management.topic_follower import FollowerTiming
from producer.sources.contract import Source
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import Topics, partition_of
from relay.replays.job import KnownReplay

_HISTORY = FollowerTiming(read_seconds=60.0)

Wanted = Mapping[str, Sequence[str]]
"""The days of each organization that are counted."""


@dataclass(frozen=True, slots=True)
class ProofContext:
    """The means to count days. `second_look_seconds`: the pause before it; a transaction ends within.

    `listings_at_once`: organizations whose audit logs are listed at the same time. `listing_seconds`: the bound for one listing.
    """

    connection: Connection
    registry: SchemaRegistryConfig
    destinations: Mapping[str, DestinationConfig]
    now_ms: Callable[[], int]
    second_look_seconds: float = 2.0
    listings_at_once: int = 4
    listing_seconds: float = LISTING_SECONDS
    seen: SeenRecords = field(default_factory=SeenRecords)


async def count_days(
    context: ProofContext, organization: str, days: Sequence[str], source: Source | None
) -> Counted:
    """Return the accounts of days of one organization. Raises RelayError if Kafka cannot be read."""
    with kafka_errors_as_relay_errors(context.connection):
        partition = partition_of(organization, await read_shard_count(context.connection))
    counted = await count_partition(context, partition, {organization: days}, lambda _: source)
    return counted[organization]


async def count_partition(
    context: ProofContext, partition: int, wanted: Wanted, source_of: SourceOf
) -> Mapping[str, Counted]:
    """Return the accounts of organizations of one partition. Kafka is read once for all of them.

    Kafka is read before the audit log, and each ledger before its topic, so an event that arrives meanwhile is no difference
    that lasts. Raises RelayError if Kafka cannot be read.
    """
    with kafka_errors_as_relay_errors(context.connection):
        look = await _prepare(context, partition, next(iter(wanted)))
        progress, scan, look = await look.read(wanted)
        listed = await look.list_all(wanted, source_of, progress, scan)
        # A thread compares, since a large partition would hold up everything else of the process for seconds.
        first = await asyncio.to_thread(look.count, wanted, progress, scan, listed)
        differing = await asyncio.to_thread(_differing, first)
        if differing:
            await asyncio.sleep(context.second_look_seconds)
            whole = _lacks_events(first, differing)
            again, scanned, look = await look.read(differing, whole=whole)
            second = await asyncio.to_thread(look.count, differing, again, scanned, listed)
            for name, counted in second.items():
                first[name] |= {day: _confirmed(first[name][day], each) for day, each in counted.items()}
    return {
        name: Counted(
            first[name],
            progress[name],
            {day: each for (found, day), each in scan.passed.items() if found == name},
        )
        for name in wanted
    }


def _differing(found: Mapping[str, Mapping[str, CountedDay]]) -> Wanted:
    """Return the days that need a second look."""
    return {
        name: days
        for name, counted in found.items()
        if (days := [day for day, each in counted.items() if each.account.differences.named()])
    }


def _lacks_events(found: Mapping[str, Mapping[str, CountedDay]], differing: Wanted) -> bool:
    """Return whether the producers have had an event that the topics seem to lack. A clock that was behind may have hidden it."""
    accounts = [found[name][day].account for name, days in differing.items() for day in days]
    return any(
        each.differences.deleted or (each.differences.missing and each.kafka.ledger is None)
        for each in accounts
    )


def _confirmed(first: CountedDay, second: CountedDay) -> CountedDay:
    return replace(second, account=replace(second.account, seen_before=first.account.differences))


async def _prepare(context: ProofContext, partition: int, organization: str) -> "_Look":
    """Read how far destinations are. `organization`: one of the partition."""
    connection = context.connection
    moves = await read_moves(ChangeHistory(connection, context.now_ms, _HISTORY))
    if isinstance(moves, str):
        raise RelayError(f"The history of changes cannot be read: {moves}")
    topic = Topics(connection.kafka.topic_prefix).destinations
    async with RecordWriter(connection) as writer:  # it starts no producer before its first record
        losses = await LossStore(connection, topic, writer).read_each(context.destinations)
    replays = await _read_replays(context, moves)
    destinations = [
        await read_destination(
            *(connection, name, partition, moves, losses[name].ranges.values()),
            replayed_to(name, _targets(config), replays, Topics(connection.kafka.topic_prefix)),
        )
        for name, config in context.destinations.items()
    ]
    return _Look(context, partition, organization, destinations)


def _targets(config: DestinationConfig) -> set[str | None]:
    return {target_address(config, DESTINATIONS, to_live=to_live) for to_live in (False, True)}


async def _read_replays(context: ProofContext, moves: Sequence[ChangeEntry]) -> list[KnownReplay]:
    """Return the replays, which count for events that an operator has skipped."""
    if not any(each.what == "skipped" and each.name in context.destinations for each in moves):
        return []
    return [each.replay for each in (await read_replays(context.connection, context.now_ms())).views]


_Listed = Mapping[tuple[str, str], SourceDay]


@dataclass(frozen=True, slots=True)
class _Look:
    """Counts the days of organizations of one partition."""

    context: ProofContext
    partition: int
    organization: str
    destinations: Sequence[DestinationProgress]
    letters: Letters = field(default_factory=Letters)

    async def read(
        self, wanted: Wanted, *, whole: bool = False
    ) -> tuple[Mapping[str, RecordedProgress], TopicScan, "_Look"]:
        """Read the ledgers, then the letters and events, which are there before their ledger. Return a look with the letters.

        `whole`: events are looked for from the beginning of the log.
        """
        context = self.context
        progress = await read_progress(context.connection, self.partition, wanted)
        letters = await read_letters(context.connection, self.organization, context.now_ms())
        scan = await scan_topics(
            context.connection,
            context.registry,
            context.destinations,
            self.partition,
            wanted,
            context.now_ms(),
            context.seen,
            whole=whole,
        )
        return progress, scan, replace(self, letters=letters)

    async def list_all(
        self, wanted: Wanted, source_of: SourceOf, progress: Mapping[str, RecordedProgress], scan: TopicScan
    ) -> _Listed:
        """List some organizations at a time."""
        places, listed = asyncio.Semaphore(self.context.listings_at_once), dict[tuple[str, str], SourceDay]()

        async def list_one(name: str, source: Source) -> None:
            async with places:
                facts = self._facts(name, wanted[name], progress[name], scan)
                now, seconds = self.context.now_ms(), self.context.listing_seconds
                found = await list_days(source, wanted[name], facts, now, seconds)
                listed.update({(name, day): each for day, each in found.items()})

        async with asyncio.TaskGroup() as group:
            for name in wanted:
                if (source := source_of(name)) is not None:
                    group.create_task(list_one(name, source))
        return listed

    def _facts(
        self, name: str, days: Sequence[str], progress: RecordedProgress, scan: TopicScan
    ) -> ListingFacts:
        hashes = {each for ledger in progress.ledgers.values() for each in ledger.dead_letters}
        hashes |= self.letters.of_producers.get(name, set())
        known = {
            day: {each.key.id for each in scan.events.get((name, day), ())} | (progress.ids(day) or set())
            for day in days
        }
        return ListingFacts(progress, known, hashes, self.context.seen)

    def count(
        self,
        wanted: Wanted,
        progress: Mapping[str, RecordedProgress],
        scan: TopicScan,
        listed: _Listed,
    ) -> dict[str, dict[str, CountedDay]]:
        return {
            name: {day: self._count(name, day, progress[name], scan, listed.get((name, day))) for day in days}
            for name, days in wanted.items()
        }

    def _count(
        self, name: str, day: str, progress: RecordedProgress, scan: TopicScan, listed: SourceDay | None
    ) -> CountedDay:
        events = scan.events.get((name, day), [])
        kafka = KafkaDay(
            [each.key for each in events],
            scan.is_kept(day),
            progress.ids(day),
            scan.undecodable.get(name, 0),
            len(scan.corrupt),
            len(_dead_letters(progress, day) - self.letters.of_producers.get(name, set())),
        )
        taken = set[int]() if kafka.kept else (kafka.ledger or set()) - {each.key.id for each in events}
        delivered = {
            each.name: delivery_day(each, events, self.letters, name, day, taken, scan.begins)
            for each in self.destinations
        }
        return CountedDay(DayAccount(name, day, listed, kafka, delivered, _offsets(events)), events)


def _dead_letters(progress: RecordedProgress, day: str) -> AbstractSet[bytes]:
    ledger = progress.ledgers.get(day)
    return frozenset() if ledger is None else frozenset(ledger.dead_letters)


def _offsets(events: Sequence[PlacedEvent]) -> Mapping[str, tuple[int, int]]:
    places: dict[str, list[int]] = {}
    for each in events:
        places.setdefault(partition_name(each.place), []).append(each.place.offset)
    return {name: (min(offsets), max(offsets)) for name, offsets in places.items()}

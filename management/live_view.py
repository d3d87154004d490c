"""The organizations and destinations of an installation as Kafka has them now, kept current for readers that ask often."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import structlog

from consumer.losses.lost_range import key_prefix
from consumer.targets.store import decode_pause, pause_key
from consumer.targets.target import Pause
from management.organizations.store import StoredOrganizations, build_store, kafka_errors_as_relay_errors
from management.replay.live_replays import LiveReplays, ReplaySnapshot
from relay.aio import cancel_all, cancellation_requested, run_unless_stopped
from relay.condition_log import ConditionLog
from relay.errors import RelayError
from relay.kafka import Record
from relay.kafka.connection import Connection
from relay.kafka.followed_tables import FollowedTables, always_supersedes, records_of
from relay.kafka.topics import Topics
from relay.status.model import Status
from relay.status.reader import decode_status, supersedes

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ViewTiming:
    """How often the topics are looked at, and the bound of one look, in seconds."""

    look_seconds: float = 2.0
    read_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of the topics of organizations, statuses and pauses at one instant. Instants are ms UTC."""

    organizations: StoredOrganizations = field(default_factory=lambda: StoredOrganizations({}, {}, {}))
    statuses: Mapping[str, Status] = field(default_factory=dict)
    pauses: Mapping[str, Pause] = field(default_factory=dict)
    lost_ranges: Mapping[str, int] = field(default_factory=dict)
    """How many lost ranges each destination has, by its name."""
    replays: ReplaySnapshot = field(default_factory=ReplaySnapshot)
    problems: tuple[str, ...] = ()
    """A sentence for each pause, and each batch of statuses and destinations, that cannot be read."""
    as_of: int | None = None
    """When the topics were last read to their ends. None: never yet."""
    failure: str | None = None
    """Why the topics cannot be read now. None: they can."""
    failing_since: int | None = None


class LiveView:
    """Follows the topics, and has the last snapshot for every reader. It keeps nothing that is not on the topics."""

    def __init__(
        self,
        connection: Connection,
        destinations: Iterable[str],
        now_ms: Callable[[], int],
        timing: ViewTiming | None = None,
    ) -> None:
        """`destinations`: the names in the settings, whose pauses are read."""
        topics = Topics(connection.kafka.topic_prefix)
        self._connection = connection
        self._topics = topics
        self._destinations = sorted(destinations)
        self._now_ms = now_ms
        self._timing = timing or ViewTiming()
        self._tables = FollowedTables(
            connection,
            {
                topics.organizations: always_supersedes,
                topics.status: supersedes,
                topics.destinations: always_supersedes,
            },
        )
        self._replays = LiveReplays(connection)
        self._decoded: dict[bytes, tuple[Record, Status | None]] = {}
        self._unreadable_pauses: tuple[str, ...] = ()
        self._lock = asyncio.Lock()
        self._next_look: asyncio.Task[None] | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._conditions = ConditionLog(log)
        self.snapshot = Snapshot()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the snapshot current until `stop` is set."""
        try:
            await run_unless_stopped(stop, self._follow())
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections. The snapshot stays."""
        self._closed = True
        await cancel_all(self._looks)
        await self._tables.close()
        await self._replays.close()

    async def _follow(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(self._timing.look_seconds)

    async def refresh(self) -> None:
        """Look at the topics now. A failure leaves the former content, and its reason in the snapshot."""
        async with self._lock:
            await self._look()

    async def refresh_within(self, seconds: float) -> None:
        """Look at the topics, and wait at most `seconds` for it. A longer look goes on, and its snapshot comes when it ends."""
        if self._closed:
            return
        if self._next_look is None:  # else a look waits for its turn, and sees all that this one would see
            self._next_look = asyncio.create_task(self._take_turn(), name="look at the topics")
            self._looks.add(self._next_look)
            self._next_look.add_done_callback(self._looks.discard)
            self._next_look.add_done_callback(_log_defect)
        await asyncio.wait([self._next_look], timeout=seconds)

    async def _take_turn(self) -> None:
        async with self._lock:
            self._next_look = None
            await self._look()

    async def _look(self) -> None:
        began = self._now_ms()
        try:
            changed = await self._read()
        except RelayError as error:
            since = self.snapshot.failing_since or began
            self.snapshot = replace(self.snapshot, failure=str(error), failing_since=since)
            self._conditions.failed(
                "view", str(error), "The topics could not be read.", {"reason": str(error)}
            )
            return
        self._conditions.ended("view", "The topics can be read again; they could not be")
        await self._replays.refresh(self._timing.read_seconds)
        updated = replace(await self._updated(changed), replays=self._replays.snapshot)
        self.snapshot = replace(updated, as_of=began, failure=None, failing_since=None)

    async def _read(self) -> set[str]:
        """Return the topics whose tables changed. Raises RelayError, also where aiokafka cancels it though nobody asked."""
        try:
            with kafka_errors_as_relay_errors(self._connection):
                async with asyncio.timeout(self._timing.read_seconds):
                    return await self._tables.refresh()
        except asyncio.CancelledError:
            if cancellation_requested():
                raise
            raise RelayError(
                f"The client of Kafka at {self._connection.bootstrap} ended a reading. It is repeated; if this lasts, see the"
                " log of the broker."
            ) from None

    async def _updated(self, changed: set[str]) -> Snapshot:
        snapshot = self.snapshot
        if self._topics.organizations in changed:
            snapshot = replace(snapshot, organizations=self._organizations())
        if self._topics.status in changed:
            snapshot = replace(snapshot, statuses=await self._statuses())
        if self._topics.destinations in changed:
            pauses, self._unreadable_pauses = self._pauses()
            snapshot = replace(snapshot, pauses=pauses, lost_ranges=self._lost_ranges())
        return replace(snapshot, problems=(*self._unreadable_pauses, *self._corrupt_batches()))

    def _corrupt_batches(self) -> Iterator[str]:
        """Yield a sentence for each corrupt batch. Those of organizations are among the problems of their store."""
        for topic, content in (
            (self._topics.status, "Statuses"),
            (self._topics.destinations, "Pauses and lost ranges"),
        ):
            found = {error.next_offset: error for error in self._tables.table(topic).corrupt_batches}
            for error in found.values():
                yield f"{error} {content} of this batch are missing here, or shown as they were before it."

    def _organizations(self) -> StoredOrganizations:
        table = self._tables.table(self._topics.organizations)
        return build_store(records_of(table), len(table.partitions), table.corrupt_batches)

    async def _statuses(self) -> dict[str, Status]:
        """Return the statuses by key. Only records that are new since the last look are decoded."""
        decoded: dict[bytes, tuple[Record, Status | None]] = {}
        for number, record in enumerate(records_of(self._tables.table(self._topics.status))):
            if number % 500 == 499:
                await asyncio.sleep(0)  # ten thousand records take a second: other tasks run in between
            key = record.key or b""
            known = self._decoded.get(key)
            # Not by the offset: a topic that was made again has the same offsets with other content.
            decoded[key] = known if known and known[0] is record else (record, decode_status(record))
        self._decoded = decoded
        return {key.decode(): status for key, (_, status) in decoded.items() if status is not None}

    def _lost_ranges(self) -> dict[str, int]:
        keys = [record.key or b"" for record in records_of(self._tables.table(self._topics.destinations))]
        return {
            name: sum(key.startswith(key_prefix(name).encode()) for key in keys)
            for name in self._destinations
        }

    def _pauses(self) -> tuple[dict[str, Pause], tuple[str, ...]]:
        records: dict[bytes | None, Record] = {
            record.key: record for record in records_of(self._tables.table(self._topics.destinations))
        }
        pauses: dict[str, Pause] = {}
        problems = []
        for name in self._destinations:
            record = records.get(pause_key(name).encode())
            try:
                pause = None if record is None else decode_pause(record)
            except RelayError as error:
                problems.append(f"{name}: {error}")
                continue
            if pause is not None:
                pauses[name] = pause
        return pauses, tuple(problems)


def _log_defect(look: asyncio.Task[None]) -> None:
    if not look.cancelled() and (error := look.exception()) is not None:
        log.error("A look at the topics ended with a defect.", exc_info=error)

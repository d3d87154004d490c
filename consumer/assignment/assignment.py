"""The state of one assignment of partitions: from the records that were read to the offsets that are committed."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from consumer.assignment.record_buffer import LOAD_BYTES, Gathered, Load, rows_of
from consumer.assignment.start_offsets import Beginner
from consumer.decoding.isolate import Shape, encode
from consumer.decoding.schema_lookup import Schemas
from consumer.delivery.batch import Batch, Rows
from consumer.delivery.sender import Deliveries, Outlet
from consumer.offsets.committer import Commits
from consumer.offsets.tracker import Offsets
from relay.aio import Signal
from relay.errors import RelayError, describe
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.positions import Positions

GATHERED_BYTES = 2 * LOAD_BYTES
IN_FLIGHT_BYTES = 16_000_000
ROOM_SECONDS = 2.0
COMMIT_SECONDS = 0.2
"""At most so often offsets are committed while rows are accepted, and every QUIET_SECONDS otherwise."""
QUIET_SECONDS = 2.0
MOST_UNCOMMITTED = 20_000
"""Of records that are settled; what a kill may send again, beside what is in flight."""
AGAIN_SECONDS = 1.0
HELD_SECONDS = 60.0
"""How long a partition is left alone that cannot be read."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done with the events of one topic, whoever's partitions they are."""

    beginner: Beginner
    schemas: Schemas
    rows: Shape
    outlet: Outlet
    largest_body: int
    linger_seconds: float


class Assignment:
    """Begun with `begin`, fed with `take`, ended with `close`; after that nothing of it is sent or committed.

    What is taken while it ends is neither sent nor committed.
    """

    def __init__(self, job: Job, positions: Positions, partitions: set[TopicPartition]) -> None:
        self._job = job
        self._positions = positions
        self._partitions = sorted(partitions)
        self._ready: set[TopicPartition] = set()
        self._waits: dict[TopicPartition, str] = {}
        """Why others are not ready."""
        self._losses: dict[TopicPartition, tuple[int, int]] = {}
        self._offsets = Offsets()
        self._commits = Commits(positions, job.outlet.metrics)
        self._kept = 0
        """How many of the settled records are committed as such."""
        self._gathered = Gathered()
        self._batch = Batch(job.largest_body, job.linger_seconds)
        self._deliveries = Deliveries(job.outlet, self._settle, positions.renewed)
        self._changed = Signal()
        self._settled = asyncio.Event()
        self._paused = False
        self._held: dict[TopicPartition, float] = {}
        """Partitions that cannot be read, and when to try again (monotonic)."""
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None

    @property
    def partitions(self) -> Sequence[TopicPartition]:
        return self._partitions

    @property
    def ready(self) -> bool:
        return len(self._ready) == len(self._partitions)

    @property
    def waits(self) -> str | None:
        """Why it is not ready, where that takes long."""
        return next(iter(self._waits.values()), None)

    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest event read and not yet settled."""
        known = (self._gathered.oldest_ms, self._batch.oldest_ms, self._deliveries.oldest_ms())
        return min((each for each in known if each is not None), default=None)

    def begin(self) -> None:
        """Hold all partitions where they are and look up in the background where each begins."""
        for partition in self._partitions:
            self._positions.seek(partition, 0)  # so that aiokafka does not look for a position of its own
        self._positions.pause(self._partitions)
        self._tasks = [
            asyncio.create_task(self._place(), name="beginning of partitions"),
            asyncio.create_task(self._prepare(), name="preparing of events"),
            asyncio.create_task(self._commit_what_settles(), name="committing of offsets"),
        ]

    def check(self) -> None:
        """Raise what has ended one of its tasks."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
        if self._deliveries.failure is not None:
            raise self._deliveries.failure

    def take(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Records as Kafka handed them over. To be called before anything else is awaited: their positions count already."""
        if self._ending is None:
            self._let_go()
        for partition, records in batches.items():
            if not records:
                continue
            self._job.outlet.damage.pop(partition, None)
            if partition not in self._ready:
                raise KafkaError(f"records of {partition} came before its beginning was known")
            for span, unsettled in self._offsets.hand_out(partition, records):
                self._gathered.add(unsettled, span, time.monotonic())
            if (lost := self._losses.pop(partition, None)) is not None:
                until = _iso(records[0].timestamp)
                self._job.outlet.metrics.loss_ends(partition, until)
                self._job.outlet.loss = f"{_loss(partition, *lost)} They had been collected before {until}."
        self._wake()

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The log holds nothing at these positions, where reading stands, or a damaged batch, or it has had another leader since what
        stands before them.

        What Kafka has deleted is passed over, up to the first event kept; a damaged batch is not. Raises KafkaError where the log
        does not hold any more what was read last: then everything has to be looked up anew.
        """
        first = await self._positions.first_offsets(offsets)
        for partition, offset in offsets.items():
            if partition not in self._ready or offset != await self._positions.position(partition):
                continue  # it has been moved since
            if self._ending is not None:
                return
            damaged = self._positions.corrupt_batch(partition)
            if damaged is not None and offset <= damaged.last_offset:
                self._hold(partition, offset, damaged.last_offset)
            elif offset < first[partition]:
                self._positions.seek(partition, first[partition])
                self._pass_over(partition, offset, first[partition])
            else:
                await self._go_on(partition, first)

    def _hold(self, partition: TopicPartition, start: int, last: int) -> None:
        """Read nothing of it for a while; another replica may have what is damaged here."""
        self._positions.pause([partition])
        self._held[partition] = time.monotonic() + HELD_SECONDS
        self._job.outlet.metrics.batch_is_damaged(partition, start, last)
        self._job.outlet.damage[partition] = _damage(partition, start, last)

    def _let_go(self) -> None:
        now = time.monotonic()
        for partition in [each for each, until in self._held.items() if until <= now]:
            del self._held[partition]
            if not self._paused:
                self._positions.resume([partition])

    def _pass_over(self, partition: TopicPartition, start: int, stop: int) -> None:
        if lost := self._offsets.skip(partition, start, stop):
            self._job.outlet.metrics.lost_offsets(partition, start, stop, lost)
            self._lost(partition, start, stop)

    async def _go_on(self, partition: TopicPartition, first: Mapping[TopicPartition, int]) -> None:
        """Right behind the last record that was read, if it stands: what was read behind it, as ends of transactions, may be lost."""
        read = self._offsets.read(partition)
        if partition not in await self._job.beginner.same({partition: read}, first):
            raise KafkaError(
                f"{partition.topic}, partition {partition.partition}, does not hold any more what was read from it up to offset"
                f" {read.offset if read else 0}"
            )
        position = await self._positions.position(partition)
        if self._ending is None:
            self._positions.seek(partition, max(first[partition], read.offset + 1) if read else position)

    def _lost(self, partition: TopicPartition, start: int, stop: int) -> None:
        self._losses[partition] = (start, stop)
        self._job.outlet.loss = _loss(partition, start, stop)

    async def room(self) -> None:
        """Wait a little for room; where there is none, let Kafka hold further records back while polling goes on."""
        if self._ending is not None:
            return
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                while self._gathered.bytes >= GATHERED_BYTES:
                    await self._changed.wait()
        except TimeoutError:
            if not self._paused:
                self._positions.pause(self._ready)
                self._paused = True

    async def close(self, *, finish_seconds: float, answer_seconds: float) -> None:
        """End it: go on with what is being delivered for `finish_seconds`, then start no request any more and give those under
        way `answer_seconds`, and commit. What was only read is left to whoever comes next. To call it again shortens the first.
        """
        if finish_seconds <= 0:
            self._deliveries.start_no_more()
        if self._ending is None:
            ending = self._end(finish_seconds, answer_seconds)
            self._ending = asyncio.create_task(ending, name="end of an assignment")
        await asyncio.shield(self._ending)

    async def _end(self, finish_seconds: float, answer_seconds: float) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if finish_seconds > 0:
            # the membership goes on, and would read all that there is
            self._positions.pause(self._partitions)
            await self._deliveries.finished(finish_seconds)
        await self._deliveries.close(answer_seconds)
        for partition in self._partitions:
            self._job.outlet.damage.pop(partition, None)
        await self.commit()

    def committed(self) -> Mapping[TopicPartition, int]:
        """What was committed of its partitions."""
        return self._commits.offsets

    async def commit(self) -> bool:
        """Commit what is settled, as far as that is news. Returns whether Kafka has it all now."""
        self._job.beginner.memory |= self._offsets.progress()
        try:
            positions = {each: await self._position(each) for each in sorted(self._ready)}
            progress = self._offsets.progress(positions)
            fits = self._commits.fits(progress)
            kept = self._offsets.settled() if fits else self._offsets.settled_without_gap()
            await self._commits.commit(progress)
        except (KafkaError, TimeoutError) as error:
            self._job.outlet.metrics.commit_failed(describe(error))
            return False
        self._kept = kept
        self._wake()
        return True

    async def _position(self, partition: TopicPartition) -> int:
        """Where reading stands for sure; 0 where records alone tell."""
        return 0 if self._positions.unreliable else await self._positions.position(partition)

    def _settle(self, rows: Rows) -> None:
        self._offsets.settle(rows.spans, rows.records)
        self._settled.set()
        self._wake()

    async def _commit_what_settles(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._settled.wait()
            self._settled.clear()
            done = await self.commit()
            await asyncio.sleep(COMMIT_SECONDS if done else AGAIN_SECONDS)

    async def _place(self) -> None:
        while left := [each for each in self._partitions if each not in self._ready]:
            try:
                await self._place_all(left)
            except (KafkaError, TimeoutError, RelayError):
                # one that has no leader, or has lost its end, is no reason for the others to wait
                await asyncio.gather(*map(self._place_one, left))
                await asyncio.sleep(AGAIN_SECONDS)

    async def _place_one(self, partition: TopicPartition) -> None:
        try:
            await self._place_all([partition])
        except (KafkaError, TimeoutError, RelayError) as error:
            reason = describe(error)
            self._job.outlet.metrics.beginning_waits(partition, reason)
            self._waits[partition] = (
                f"Where to begin with {partition.topic}, partition {partition.partition}, cannot be looked up: {reason}"
            )

    async def _place_all(self, partitions: Sequence[TopicPartition]) -> None:
        found = await self._job.beginner.find(self._positions, partitions)
        # before anything is read: found again after a crash, the end of a log, for one, would be another
        await self._commits.commit({each: begun.progress for each, begun in found.items()})
        for partition, each in found.items():
            self._waits.pop(partition, None)
            self._offsets.begin(partition, each.progress)
            # from the last settled record on, so that another leader since then is noticed
            self._positions.seek(partition, each.last_read)
            if each.missed:
                self._lost(partition, *each.missed)
        self._ready.update(found)
        self._positions.resume(found)

    async def _prepare(self) -> None:
        while True:
            await self._due()
            if self._gathered.since is not None:
                await self._decode(self._gathered.take())
                self._wake()
                self._resume()
            if self._until_taken(time.monotonic()) == 0:
                await self._send(self._batch.take())

    async def _due(self) -> None:
        """Wait until there are many records, or the first event has waited long enough."""
        while self._gathered.bytes < LOAD_BYTES:
            wait = self._until_due(time.monotonic())
            if wait == 0:
                return
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _until_due(self, now: float) -> float | None:
        waits = [self._until_taken(now)]
        if self._gathered.since is not None:
            waits.append(max(0.0, self._gathered.since + self._job.linger_seconds - now))
        return min((wait for wait in waits if wait is not None), default=None)

    def _until_taken(self, now: float) -> float | None:
        """While others wait for the destination the batch grows as large as it may: an outage of hours would become thousands of
        requests of a row each.
        """
        others_wait = self._job.outlet.gate.trouble is not None and self._deliveries.bytes > 0
        return None if others_wait else self._batch.until_next(now)

    async def _decode(self, load: Load) -> None:
        known = await self._job.schemas.known(load.records)
        encoded = await asyncio.to_thread(encode, load.records, known, self._job.rows)
        if encoded.one_by_one:
            self._job.outlet.metrics.read_singly(encoded.one_by_one)
        if encoded.rejected:
            await self._deliveries.room(IN_FLIGHT_BYTES)
            indices = [each.index for each in encoded.rejected]
            bad = rows_of(load, indices, [b""] * len(indices))
            self._deliveries.bury(bad, [each.reason for each in encoded.rejected])
        await self._fill(rows_of(load, encoded.indices, encoded.rows), load.since)

    async def _fill(self, rows: Rows, since: float) -> None:
        while len(rows):
            rows = rows[self._batch.try_add(rows, since) :]
            if len(rows):
                await self._send(self._batch.take())

    async def _send(self, rows: Rows) -> None:
        await self._deliveries.room(IN_FLIGHT_BYTES)
        while self._offsets.settled() - self._kept >= MOST_UNCOMMITTED:
            await self._changed.wait()
        self._deliveries.start(rows)

    def _resume(self) -> None:
        if self._paused and self._gathered.bytes < LOAD_BYTES:
            self._positions.resume(self._ready - self._held.keys())
            self._paused = False

    def _wake(self) -> None:
        self._changed.notify()


def _loss(partition: TopicPartition, first: int, stop: int) -> str:
    return (
        f"Kafka had deleted events before they were accepted: offsets {first} to {stop - 1} of"
        f" {partition.topic}, partition {partition.partition}. What came after them is delivered."
    )


def _damage(partition: TopicPartition, start: int, last: int) -> str:
    return (
        f"A batch of {partition.topic}, partition {partition.partition}, is damaged on Kafka's disk (its checksum is wrong): nothing"
        f" from offset {start} on is delivered; other partitions are. Let a replica lead that has it whole. Where none has, stop"
        f" the consumers and set the group's offset there to {last + 1}: that gives up the events before."
    )


def _iso(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # Kafka takes any number for a time
        return f"{ms} ms since 1970"

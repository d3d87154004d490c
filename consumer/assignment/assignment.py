"""The state of one assignment of partitions: from the records that were read to the offsets that are committed."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from consumer.assignment.record_buffer import DECODE_BATCH_BYTES, DecodeBatch, RecordBuffer, build_rows
from consumer.assignment.start_offsets import StartOffsetResolver
from consumer.decoding.isolate import RowEncoder, encode
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.batch import RequestBatch, Rows
from consumer.delivery.sender import Sender, StreamState
from consumer.offsets.committer import OffsetCommitter
from consumer.offsets.tracker import OffsetTracker
from relay.aio import Signal
from relay.errors import RelayError, describe
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.positions import Positions

RECORD_BUFFER_BYTES = 2 * DECODE_BATCH_BYTES
IN_FLIGHT_BYTES = 16_000_000
CAPACITY_WAIT_SECONDS = 2.0
COMMIT_INTERVAL_SECONDS = 0.2
"""At most so often offsets are committed while rows are accepted, and every IDLE_COMMIT_INTERVAL_SECONDS otherwise."""
IDLE_COMMIT_INTERVAL_SECONDS = 2.0
MAX_UNCOMMITTED = 20_000
"""Of records that are delivered; what a kill may send again, beside what is in flight."""
RETRY_SECONDS = 1.0
CORRUPT_PAUSE_SECONDS = 60.0
"""How long a partition is left alone that cannot be read."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What is done with the events of one topic, whoever's partitions they are."""

    start_offsets: StartOffsetResolver
    schemas: SchemaLookup
    encode_rows: RowEncoder
    stream: StreamState
    max_body_bytes: int
    linger_seconds: float


class Assignment:
    """Started with `start`, fed with `accept_records`, ended with `close`; after that nothing of it is sent or committed.

    What is taken while it ends is neither sent nor committed.
    """

    def __init__(self, pipeline: Pipeline, positions: Positions, partitions: set[TopicPartition]) -> None:
        self._pipeline = pipeline
        self._positions = positions
        self._partitions = sorted(partitions)
        self._ready: set[TopicPartition] = set()
        self._waiting_reasons: dict[TopicPartition, str] = {}
        """Why others are not ready."""
        self._undated_losses: dict[TopicPartition, tuple[int, int]] = {}
        self._tracker = OffsetTracker()
        self._committer = OffsetCommitter(positions, pipeline.stream.metrics)
        self._committed_count = 0
        """How many of the delivered records are committed as such."""
        self._buffer = RecordBuffer()
        self._batch = RequestBatch(pipeline.max_body_bytes, pipeline.linger_seconds)
        self._sender = Sender(pipeline.stream, self._on_delivered, positions.renewed)
        self._changed = Signal()
        self._delivered = asyncio.Event()
        self._reading_paused = False
        self._paused_until: dict[TopicPartition, float] = {}
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
    def waiting_reason(self) -> str | None:
        """Why it is not ready, where that takes long."""
        return next(iter(self._waiting_reasons.values()), None)

    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest event read and not yet delivered."""
        known = (self._buffer.oldest_ms, self._batch.oldest_ms, self._sender.oldest_ms())
        return min((each for each in known if each is not None), default=None)

    def start(self) -> None:
        """Hold all partitions where they are and look up in the background where each begins."""
        for partition in self._partitions:
            self._positions.seek(partition, 0)  # so that aiokafka does not look for a position of its own
        self._positions.pause(self._partitions)
        self._tasks = [
            asyncio.create_task(self._start_partitions(), name="beginning of partitions"),
            asyncio.create_task(self._pump(), name="preparing of events"),
            asyncio.create_task(self._commit_loop(), name="committing of offsets"),
        ]

    def raise_task_errors(self) -> None:
        """Raise what has ended one of its tasks."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
        if self._sender.defect is not None:
            raise self._sender.defect

    def accept_records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Records as Kafka handed them over. To be called before anything else is awaited: their positions count already."""
        if self._ending is None:
            self._resume_due()
        for partition, records in batches.items():
            if not records:
                continue
            self._pipeline.stream.corrupt_batches.pop(partition, None)
            if partition not in self._ready:
                raise KafkaError(f"records of {partition} came before its beginning was known")
            for sequence, undelivered in self._tracker.track(partition, records):
                self._buffer.add(undelivered, sequence, time.monotonic())
            if (lost := self._undated_losses.pop(partition, None)) is not None:
                collected_before = _iso(records[0].timestamp)
                self._pipeline.stream.metrics.loss_dated(partition, collected_before)
                self._pipeline.stream.data_loss = (
                    f"{_loss_text(partition, *lost)} They had been collected before {collected_before}."
                )
        self._wake()

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The log holds nothing at these positions, where reading stands, or a damaged batch, or it has had another leader since what
        stands before them.

        What Kafka has deleted is passed over, up to the first event kept; a damaged batch is not. Raises KafkaError where the log
        does not hold any more what was read last: then everything has to be looked up anew.
        """
        log_starts = await self._positions.first_offsets(offsets)
        for partition, offset in offsets.items():
            if partition not in self._ready or offset != await self._positions.position(partition):
                continue  # it has been moved since
            if self._ending is not None:
                return
            corrupt_batch = self._positions.corrupt_batch(partition)
            if corrupt_batch is not None and offset <= corrupt_batch.last_offset:
                self._pause_partition(partition, offset, corrupt_batch.last_offset, corrupt_batch.fault)
            elif offset < log_starts[partition]:
                self._positions.seek(partition, log_starts[partition])
                self._skip_deleted(partition, offset, log_starts[partition])
            else:
                await self._seek_after_last_read(partition, log_starts)

    def _pause_partition(self, partition: TopicPartition, start: int, last: int, fault: str) -> None:
        """Read nothing of it for a while; another replica may have what is damaged here."""
        self._positions.pause([partition])
        self._paused_until[partition] = time.monotonic() + CORRUPT_PAUSE_SECONDS
        self._pipeline.stream.metrics.batch_corrupt(partition, start, last, fault)
        self._pipeline.stream.corrupt_batches[partition] = _corrupt_batch_text(partition, start, last, fault)

    def _resume_due(self) -> None:
        now = time.monotonic()
        for partition in [each for each, until in self._paused_until.items() if until <= now]:
            del self._paused_until[partition]
            if not self._reading_paused:
                self._positions.resume([partition])

    def _skip_deleted(self, partition: TopicPartition, start: int, stop: int) -> None:
        if lost := self._tracker.skip(partition, start, stop):
            self._pipeline.stream.metrics.offsets_lost(partition, start, stop, lost)
            self._record_loss(partition, start, stop)

    async def _seek_after_last_read(
        self, partition: TopicPartition, log_starts: Mapping[TopicPartition, int]
    ) -> None:
        """Right behind the last record that was read, if it stands: what was read behind it, as ends of transactions, may be lost."""
        last_read = self._tracker.last_read(partition)
        if partition not in await self._pipeline.start_offsets.matching_partitions(
            {partition: last_read}, log_starts
        ):
            raise KafkaError(
                f"{partition.topic}, partition {partition.partition}, does not hold any more what was read from it up to offset"
                f" {last_read.offset if last_read else 0}"
            )
        position = await self._positions.position(partition)
        if self._ending is None:
            self._positions.seek(
                partition, max(log_starts[partition], last_read.offset + 1) if last_read else position
            )

    def _record_loss(self, partition: TopicPartition, start: int, stop: int) -> None:
        self._undated_losses[partition] = (start, stop)
        self._pipeline.stream.data_loss = _loss_text(partition, start, stop)

    async def wait_for_capacity(self) -> None:
        """Wait a little for room; where there is none, let Kafka hold further records back while polling goes on."""
        if self._ending is not None:
            return
        try:
            async with asyncio.timeout(CAPACITY_WAIT_SECONDS):
                while self._buffer.bytes >= RECORD_BUFFER_BYTES:
                    await self._changed.wait()
        except TimeoutError:
            if not self._reading_paused:
                self._positions.pause(self._ready)
                self._reading_paused = True

    async def close(self, *, finish_seconds: float, answer_seconds: float) -> None:
        """End it: go on with what is being delivered for `finish_seconds`, then start no request any more and give those under
        way `answer_seconds`, and commit. What was only read is left to whoever comes next. To call it again shortens the first.
        """
        if finish_seconds <= 0:
            self._sender.stop_accepting()
        if self._ending is None:
            ending = self._close(finish_seconds, answer_seconds)
            self._ending = asyncio.create_task(ending, name="end of an assignment")
        await asyncio.shield(self._ending)

    async def _close(self, finish_seconds: float, answer_seconds: float) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if finish_seconds > 0:
            # the membership goes on, and would read all that there is
            self._positions.pause(self._partitions)
            await self._sender.wait_until_finished(finish_seconds)
        await self._sender.close(answer_seconds)
        for partition in self._partitions:
            self._pipeline.stream.corrupt_batches.pop(partition, None)
        await self.commit()

    def committed_offsets(self) -> Mapping[TopicPartition, int]:
        """What was committed of its partitions."""
        return self._committer.committed_offsets

    async def commit(self) -> bool:
        """Commit what is delivered, as far as that is news. Returns whether Kafka has it all now."""
        self._pipeline.start_offsets.known_progress |= self._tracker.progress()
        try:
            positions = {each: await self._position(each) for each in sorted(self._ready)}
            progress = self._tracker.progress(positions)
            fits = self._committer.fits_metadata(progress)
            committed_count = self._tracker.delivered_count() if fits else self._tracker.contiguous_count()
            await self._committer.commit(progress)
        except (KafkaError, TimeoutError) as error:
            self._pipeline.stream.metrics.commit_failed(describe(error))
            return False
        self._committed_count = committed_count
        self._wake()
        return True

    async def _position(self, partition: TopicPartition) -> int:
        """Where reading stands for sure; 0 where records alone tell."""
        return 0 if self._positions.unreliable else await self._positions.position(partition)

    def _on_delivered(self, rows: Rows) -> None:
        self._tracker.mark_delivered(rows.sequences, rows.records)
        self._delivered.set()
        self._wake()

    async def _commit_loop(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_COMMIT_INTERVAL_SECONDS):
                    await self._delivered.wait()
            self._delivered.clear()
            committed = await self.commit()
            await asyncio.sleep(COMMIT_INTERVAL_SECONDS if committed else RETRY_SECONDS)

    async def _start_partitions(self) -> None:
        while waiting := [each for each in self._partitions if each not in self._ready]:
            try:
                await self._start_together(waiting)
            except (KafkaError, TimeoutError, RelayError):
                # one that has no leader, or has lost its end, is no reason for the others to wait
                await asyncio.gather(*map(self._start_partition, waiting))
                await asyncio.sleep(RETRY_SECONDS)

    async def _start_partition(self, partition: TopicPartition) -> None:
        try:
            await self._start_together([partition])
        except (KafkaError, TimeoutError, RelayError) as error:
            reason = describe(error)
            self._pipeline.stream.metrics.start_lookup_failed(partition, reason)
            self._waiting_reasons[partition] = (
                f"Where to begin with {partition.topic}, partition {partition.partition}, cannot be looked up: {reason}"
            )

    async def _start_together(self, partitions: Sequence[TopicPartition]) -> None:
        starts = await self._pipeline.start_offsets.resolve(self._positions, partitions)
        # before anything is read: found again after a crash, the end of a log, for one, would be another
        await self._committer.commit({each: start.progress for each, start in starts.items()})
        for partition, each in starts.items():
            self._waiting_reasons.pop(partition, None)
            self._tracker.start(partition, each.progress)
            # from the last delivered record on, so that another leader since then is noticed
            self._positions.seek(partition, each.last_read_offset)
            if each.deleted_range:
                self._record_loss(partition, *each.deleted_range)
        self._ready.update(starts)
        self._positions.resume(starts)

    async def _pump(self) -> None:
        while True:
            await self._wait_until_due()
            if self._buffer.first_read_at is not None:
                await self._decode(self._buffer.take())
                self._wake()
                self._resume_reading()
            if self._seconds_until_send(time.monotonic()) == 0:
                await self._send(self._batch.take())

    async def _wait_until_due(self) -> None:
        """Wait until there are many records, or the first event has waited long enough."""
        while self._buffer.bytes < DECODE_BATCH_BYTES:
            wait = self._seconds_until_due(time.monotonic())
            if wait == 0:
                return
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _seconds_until_due(self, now: float) -> float | None:
        waits = [self._seconds_until_send(now)]
        if self._buffer.first_read_at is not None:
            waits.append(max(0.0, self._buffer.first_read_at + self._pipeline.linger_seconds - now))
        return min((wait for wait in waits if wait is not None), default=None)

    def _seconds_until_send(self, now: float) -> float | None:
        """While others wait for the destination the batch grows as large as it may: an outage of hours would become thousands of
        requests of a row each.
        """
        destination_busy = self._pipeline.stream.breaker.problem is not None and self._sender.bytes > 0
        return None if destination_busy else self._batch.until_next(now)

    async def _decode(self, batch: DecodeBatch) -> None:
        writer_schemas = await self._pipeline.schemas.schemas_for(batch.records)
        encoded = await asyncio.to_thread(encode, batch.records, writer_schemas, self._pipeline.encode_rows)
        if encoded.decoded_singly:
            self._pipeline.stream.metrics.decoded_singly(encoded.decoded_singly)
        if encoded.undecodable:
            await self._sender.wait_for_capacity(IN_FLIGHT_BYTES)
            indices = [each.index for each in encoded.undecodable]
            undecodable = build_rows(batch, indices, [b""] * len(indices))
            self._sender.dead_letter(undecodable, [each.reason for each in encoded.undecodable])
        await self._batch_rows(build_rows(batch, encoded.indices, encoded.rows), batch.first_read_at)

    async def _batch_rows(self, rows: Rows, first_read_at: float) -> None:
        while len(rows):
            rows = rows[self._batch.try_add(rows, first_read_at) :]
            if len(rows):
                await self._send(self._batch.take())

    async def _send(self, rows: Rows) -> None:
        await self._sender.wait_for_capacity(IN_FLIGHT_BYTES)
        while self._tracker.delivered_count() - self._committed_count >= MAX_UNCOMMITTED:
            await self._changed.wait()
        self._sender.start(rows)

    def _resume_reading(self) -> None:
        if self._reading_paused and self._buffer.bytes < DECODE_BATCH_BYTES:
            self._positions.resume(self._ready - self._paused_until.keys())
            self._reading_paused = False

    def _wake(self) -> None:
        self._changed.notify()


def _loss_text(partition: TopicPartition, first: int, stop: int) -> str:
    return (
        f"Kafka had deleted events before they were accepted: offsets {first} to {stop - 1} of"
        f" {partition.topic}, partition {partition.partition}. What came after them is delivered."
    )


def _corrupt_batch_text(partition: TopicPartition, start: int, last: int, fault: str) -> str:
    return (
        f"A batch of {partition.topic}, partition {partition.partition}, is damaged in Kafka ({fault}): nothing from offset"
        f" {start} on is delivered; other partitions are. Let a replica lead that has it whole. Where none has, stop the"
        f" consumers and set the group's offset there to {last + 1}: that gives up the events before."
    )


def _iso(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # Kafka takes any number for a time
        return f"{ms} ms since 1970"

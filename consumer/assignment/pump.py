"""The pump of one assignment: from buffered records to bodies in delivery."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from consumer.assignment.pipeline import Pipeline
from consumer.assignment.record_buffer import BufferedRecords, RecordBuffer
from consumer.assignment.route_holds import RouteHolds
from consumer.assignment.schema_hold import SchemaHold, by_partition
from consumer.decoding.row_encoding import EncodedEvents, SelectionError, encode
from consumer.decoding.schema_group import UndecodableRecord
from consumer.delivery.batch import RequestBatch, Rows, RowTooLargeError
from consumer.delivery.defects import DEFECTS, defect_text, describe_defect, filter_fault_text
from consumer.delivery.routes import by_route
from consumer.delivery.sender import Sender
from consumer.offsets.committer import CommitLoop
from consumer.offsets.tracker import OffsetTracker, TrackedRecords
from relay.aio import Signal
from relay.avro.codec import SchemaRef
from relay.errors import one_line
from relay.kafka import TopicPartition

_BatchKey = tuple[TopicPartition | None, str | None]


class Pump:
    """Decodes and encodes buffered records, marks skipped ones as delivered, and gives full or old bodies to the sender.

    `changed` wakes the pump after records, deliveries and commits. `on_delivered` reports skipped records, `on_space_freed`
    room in the buffer.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        buffer: RecordBuffer,
        sender: Sender,
        tracker: OffsetTracker,
        schema_hold: SchemaHold,
        changed: Signal,
        commits: CommitLoop,
        on_delivered: Callable[[], None],
        on_space_freed: Callable[[], None],
        route_holds: RouteHolds | None = None,
    ) -> None:
        """`route_holds`: of a destination with routes; without them the pump itself waits for capacity."""
        self._pipeline = pipeline
        self._limits = pipeline.flow.destination.limits
        self._buffer = buffer
        self._sender = sender
        self._tracker = tracker
        self._schema_hold = schema_hold
        self._changed = changed
        self._commits = commits
        self._on_delivered = on_delivered
        self._on_space_freed = on_space_freed
        self._holds = route_holds
        self._queues = route_holds.queues if route_holds is not None else None
        self._in_hand: list[TrackedRecords] = []
        """Records that are being decoded, or wait for a body in delivery; some of them may be delivered already."""
        self._batches: dict[_BatchKey, RequestBatch] = {}
        """By partition, where a body holds one partition only, else under None; and by route."""

    def oldest_ms(self) -> int | None:
        """Return the timestamp of the oldest record that no body holds yet, in ms UTC; None: there is none."""
        known = (
            self._buffer.oldest_ms,
            self._schema_hold.oldest_ms(),
            self._queues.oldest_ms() if self._queues is not None else None,
            *(batch.oldest_ms for batch in self._batches.values()),
            *(_oldest_undelivered_ms(tracked, self._tracker) for tracked in self._in_hand),
        )
        return min((each for each in known if each is not None), default=None)

    @contextmanager
    def _holding(self, tracked: TrackedRecords) -> Iterator[None]:
        self._in_hand.append(tracked)
        try:
            yield
        finally:
            self._in_hand.pop()

    async def run(self) -> None:
        """Pump until cancelled. Records that it holds then are neither sent nor committed."""
        while True:
            await self._wait_until_due()
            if self._buffer.first_read_at is not None:
                taken = self._buffer.take(self._pipeline.timing.buffers.decode_block_bytes)
                taken = self._schema_hold.add(taken)
                with self._holding(taken.tracked):
                    await self._decode(taken)
                self._on_space_freed()
            for held_partition in self._schema_hold.due(time.monotonic()):
                await self._decode_held(held_partition)
            for key in list(self._batches):
                batch = self._batches.get(key)  # None: it was sent before another one
                if batch is not None and self._seconds_until_send(key, batch, time.monotonic()) == 0:
                    await self._send_batch(key)
            self._update_routes()

    def _update_routes(self) -> None:
        """Send what the routes take, and hold the partitions of those that do not take enough."""
        if self._queues is None or self._holds is None:
            return
        for partition in self._holds.crowded():
            for key, batch in list(self._batches.items()):
                if self._commits.blocks(partition, batch.sequences()):
                    self._queues.add(key[1], self._batches.pop(key).take())
        self._holds.update(time.monotonic())
        self._holds.start_ready()

    @property
    def _block_waits(self) -> bool:
        return self._buffer.takeable_bytes >= self._pipeline.timing.buffers.decode_block_bytes

    async def _wait_until_due(self) -> None:
        """Wait until there are many records, or the first one has waited long enough."""
        while not self._block_waits:
            self._update_routes()
            wait = self._seconds_until_due(time.monotonic())
            if wait == 0:
                return
            check = self._holds.seconds_until_due if self._holds is not None else None
            try:
                async with asyncio.timeout(wait if check is None else min(check, wait or check)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _seconds_until_due(self, now: float) -> float | None:
        waits = [self._seconds_until_send(key, batch, now) for key, batch in self._batches.items()]
        waits.append(self._schema_hold.seconds_until_due(now))
        if self._buffer.first_read_at is not None:
            waits.append(max(0.0, self._buffer.first_read_at + self._pipeline.linger_seconds - now))
        return min((wait for wait in waits if wait is not None), default=None)

    def _seconds_until_send(self, key: _BatchKey, batch: RequestBatch, now: float) -> float | None:
        """Return None while the route is busy: a batch then grows as large as it may.

        Otherwise an outage of hours would end with thousands of requests of one row.
        """
        failing = self._pipeline.flow.routes.of(key[1]).breaker.problem is not None
        busy = failing and any(each.route == key[1] for each in self._sender.deliveries())
        return None if busy else batch.until_next(now)

    async def _decode(self, buffered: BufferedRecords) -> None:
        """Decode records, and hold the partitions in which a schema is in doubt."""
        if not len(buffered.tracked):
            return
        encoded, doubtful = await self._encode(buffered)
        if not doubtful:
            await self._deliver(buffered, encoded)
            return
        places = by_partition(buffered, [each.index for each in doubtful])
        for partition, indices in places.items():
            held = replace(buffered, tracked=buffered.tracked.of_partition(partition))
            self._hold_for(partition, held, [each for each in doubtful if each.index in indices])
        await self._decode(replace(buffered, tracked=buffered.tracked.without(places)))

    async def _decode_held(self, partition: TopicPartition) -> None:
        """Look the doubted schemas of a held partition up again; deliver its records once no schema is in doubt."""
        held = self._schema_hold.get(partition)
        encoded, doubtful = await self._encode(held.buffered, held.refs)
        if doubtful:
            self._hold_for(partition, held.buffered, doubtful)
            return
        self._schema_hold.release(partition)
        with self._holding(held.buffered.tracked):
            await self._deliver(held.buffered, encoded)

    def _hold_for(
        self, partition: TopicPartition, buffered: BufferedRecords, doubtful: Sequence[UndecodableRecord]
    ) -> None:
        refs = {each.ref for each in doubtful if each.ref is not None}
        self._schema_hold.hold(partition, buffered, refs, doubtful[0].reason, time.monotonic())

    async def _deliver(self, buffered: BufferedRecords, encoded: EncodedEvents) -> None:
        metrics = self._pipeline.flow.metrics
        if encoded.decoded_singly:
            metrics.decoded_singly(encoded.decoded_singly)
        if encoded.skipped:
            self._tracker.mark_delivered(buffered.tracked.select(encoded.skipped))
            metrics.events_skipped(len(encoded.skipped))
            self._pipeline.flow.state.skipped += len(encoded.skipped)
            self._on_delivered()
        if encoded.undecodable:
            if self._queues is None:
                await self._sender.wait_for_capacity()
            undecodable = buffered.tracked.select([each.index for each in encoded.undecodable])
            self._sender.dead_letter(undecodable, [each.reason for each in encoded.undecodable])
        rows = Rows(encoded.rows, buffered.tracked.select(encoded.indices))
        # A block that waits fills the body at once. By the age of its records, each block would leave a small body behind.
        since = time.monotonic() if self._block_waits else buffered.first_read_at
        for part in rows.by_partition() if self._limits.single_partition else (rows,):
            for route, routed in by_route(part, self._limits.routes):
                await self._batch_rows(routed, route, since)

    async def _encode(
        self, buffered: BufferedRecords, doubted: Collection[SchemaRef] = ()
    ) -> tuple[EncodedEvents, Sequence[UndecodableRecord]]:
        """Encode in a thread; after a defect try again, since no event may be dropped for it.

        Return the rows, and the undecodable records whose schema may be wrong. Doubted schemas are looked up anew.
        """
        pipeline, key, attempt = self._pipeline, object(), 0
        encode_rows, select = (
            pipeline.rules.encoder(pipeline.flow.destination.encode),
            pipeline.rules.select,
        )
        records = buffered.tracked.records
        try:
            while True:
                try:
                    found = await pipeline.schemas.schemas_for(records, doubted)
                    encoded = await pipeline.flow.run_in_worker(
                        encode, records, found.schemas, encode_rows, select
                    )
                    return encoded, pipeline.schemas.doubtful(encoded, found)
                except SelectionError as error:
                    defect = one_line(str(error))
                    pipeline.flow.state.defect_found(key, filter_fault_text(defect))
                    pipeline.flow.metrics.delivery_failed("filter", defect)
                except DEFECTS as error:
                    defect = describe_defect(error)
                    pipeline.flow.state.defect_found(key, defect_text("encoding events", defect))
                    pipeline.flow.metrics.delivery_failed("encoding events", defect)
                await asyncio.sleep(pipeline.flow.timing.defect.wait(attempt, random.random()))
                attempt += 1
        finally:
            pipeline.flow.state.defect_cleared(key)

    async def _batch_rows(self, rows: Rows, route: str | None, since: float) -> None:
        """Add rows of one route, and of one partition where a body holds no more."""
        while len(rows):
            partition = rows.tracked.sequences[0].partition if self._limits.single_partition else None
            batch = self._batches.setdefault(
                (partition, route), RequestBatch(self._limits.format, self._pipeline.linger_seconds)
            )
            try:
                rows = rows[batch.try_add(rows, since) :]
            except RowTooLargeError as error:
                self._sender.dead_letter(rows[:1].tracked, [str(error)])
                rows = rows[1:]
                continue
            if len(rows):
                await self._send_batch((partition, route))
        await self._send_largest_batches()

    async def _send_largest_batches(self) -> None:
        """Send batches until all of them together are no larger than one flow may have in flight: there may be a thousand routes."""
        most = max(self._limits.in_flight_bytes, self._limits.format.max_bytes)
        while len(self._batches) > 1 and sum(batch.size for batch in self._batches.values()) > most:
            largest = max(self._batches, key=lambda key: self._batches[key].size)
            await self._send_batch(largest)

    async def _send_batch(self, key: _BatchKey) -> None:
        rows = self._batches.pop(key).take()
        if self._queues is None:
            with self._holding(rows.tracked):
                await self._send(rows)
        else:
            self._queues.add(key[1], rows)

    async def _send(self, rows: Rows) -> None:
        """Start a body once few enough delivered records are not committed.

        Wait only for what goes on without the pump: deliveries and commits. After both, records that the pump itself holds
        may still be in front of the delivered ones, so it sends those.
        """
        await self._sender.wait_for_capacity()
        while self._commits.uncommitted() >= self._limits.max_uncommitted:
            if self._sender.in_delivery or not self._commits.is_current:
                await self._changed.wait()
            elif (key := self._key_that_holds_back(rows)) is not None:
                self._sender.start(self._batches.pop(key).take())
            else:
                break
        self._sender.start(rows)

    def _key_that_holds_back(self, rows: Rows) -> _BatchKey | None:
        """Return the key of a batch to send before `rows`, since it holds delivered records back; None: no batch, or `rows` do."""
        hold_back = self._tracker.hold_back_delivered
        if hold_back(rows.tracked.sequences):
            return None
        return next((key for key, batch in self._batches.items() if hold_back(batch.sequences())), None)


def _oldest_undelivered_ms(tracked: TrackedRecords, tracker: OffsetTracker) -> int | None:
    """Return the timestamp of the oldest of these records that is not delivered, in ms UTC; None: all are."""
    oldest, position = [], 0
    for sequence in tracked.sequences:
        first = tracker.first_undelivered(sequence.partition)
        if first is not None and first < sequence.stop:
            oldest.append(tracked.records[position + max(0, first - sequence.first)].timestamp)
        position += len(sequence)
    return min(oldest, default=None)

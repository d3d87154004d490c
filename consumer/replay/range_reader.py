"""The reader of the ranges of one job, apart from every consumer group."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from consumer.replay.source import ArchiveReader, Chunk
from relay.kafka import KAFKA_FAILURES, Record, TopicPartition, partition_text
from relay.kafka.connection import Connection
from relay.kafka.log_reader import TopicReadError
from relay.kafka.range_log import MAX_RECORDS, OutsideLogError, RangeLog, open_range_log
from relay.kafka.reader_timing import ReaderTiming
from relay.replays.job import ReplayRange
from relay.replays.refill import replay_of


@dataclass(frozen=True, slots=True)
class RangeReaderTiming:
    """Bounds of a reader of ranges."""

    reader: ReaderTiming = field(default_factory=ReaderTiming)
    max_records: int = MAX_RECORDS
    end_wait_seconds: float = 30.0
    """How long a log that ends before its range may take to come back: a new leader learns its end late."""
    failures_in_a_row: int = 3
    """So many partitions in a row may fail before a pass ends: then it is the cluster rather than a partition."""


class RangeReader:
    """Yields the records of ranges, one partition after the other.

    1. It commits nothing and is a member of no group, so it touches no offset of live delivery.
    2. A partition that cannot be read is passed over; the pass raises its failure at the end, so that the caller comes again.
    3. Offsets that Kafka has deleted come from the archive. Without one, or where it has a gap, they are lost, and named.
    """

    def __init__(
        self,
        connection: Connection,
        ranges: Sequence[ReplayRange],
        archive: ArchiveReader | None = None,
        timing: RangeReaderTiming | None = None,
        replay_id: str | None = None,
    ) -> None:
        """`archive` None: what Kafka has deleted is lost. `replay_id`: only events that are there for this replay alone; None: only
        those that are for every destination.
        """
        self._replay_id = replay_id
        self._connection = connection
        self._ranges = ranges
        self._archive = archive
        self._timing = timing or RangeReaderTiming()
        self._short_since: dict[TopicPartition, float] = {}
        """Since when a log ends before its range, in monotonic seconds."""

    async def chunks(self, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Chunk]:
        """Yield what is left of the ranges from these positions; a range without one begins at its own start."""
        left = [
            (each.tp, position, each.end)
            for each in self._ranges
            if (position := starts.get(each.tp, each.start)) < each.end
        ]
        if not left:
            return
        failures: list[Exception] = []
        async with open_range_log(
            self._connection, self._timing.reader, self._timing.max_records
        ) as range_log:
            led, in_a_row = await range_log.with_leader([tp for tp, _, _ in left]), 0
            for tp, position, end in left:
                if tp not in led:
                    failures.append(no_leader(tp))
                    continue
                try:
                    async with aclosing(self._read(range_log, tp, position, end)) as found:
                        async for chunk in found:
                            in_a_row = 0
                            yield chunk
                except KAFKA_FAILURES as error:
                    failures.append(error)
                    in_a_row += 1
                    if in_a_row >= self._timing.failures_in_a_row:
                        break
        if failures:
            raise failures[0]

    def letter_fields(self, record: Record) -> Mapping[str, str]:  # noqa: ARG002
        """Return no header of its own."""
        return {}

    def ending_of(self, _record: Record) -> None:
        """Return None: nothing but the places tells how a record ended."""

    async def confirm(self, delivered: Sequence[Record], dead_lettered: Sequence[Record]) -> None:
        """Take note of nothing: the places of the job say it all."""

    async def _read(
        self, range_log: RangeLog, tp: TopicPartition, position: int, end: int
    ) -> AsyncGenerator[Chunk]:
        while position < end:
            log_start = (await range_log.bounds(tp)).log_start_offset
            if position < log_start:
                async for chunk in self._deleted(tp, position, min(log_start, end)):
                    position = chunk.next_offset
                    yield chunk
                continue
            try:
                async with aclosing(range_log.read(tp, position, end)) as parts:
                    async for part in parts:
                        position = part.next_offset
                        self._short_since.pop(tp, None)
                        wanted = [each for each in part.records if replay_of(each.headers) == self._replay_id]
                        yield Chunk(tp, wanted, position)
            except TopicReadError as error:
                if await self._may_go_on(range_log, tp, position, end, error):
                    continue
                yield Chunk(tp, (), end, lost=((position, end),))
                return

    async def _may_go_on(
        self, range_log: RangeLog, tp: TopicPartition, position: int, end: int, error: TopicReadError
    ) -> bool:
        """Return True at deleted records, False where the log has lost its end for good. Raises the error otherwise.

        The range ended where the log did for read_committed readers, so only a log that lost records ends before it.
        """
        bounds = await range_log.bounds(tp)
        if position < bounds.log_start_offset:
            return True
        if position < bounds.high_watermark or bounds.high_watermark >= end:
            if isinstance(error, OutsideLogError):
                return True  # a leader that has learned its end meanwhile
            raise error
        if (
            time.monotonic() - self._short_since.setdefault(tp, time.monotonic())
            < self._timing.end_wait_seconds
        ):
            raise TopicReadError(
                f"{partition_text(tp)} ends at offset {bounds.high_watermark}, and the replay goes to {end}; it may come back."
            ) from error
        return False

    async def _deleted(self, tp: TopicPartition, start: int, stop: int) -> AsyncIterator[Chunk]:
        if self._archive is None:
            yield Chunk(tp, (), stop, lost=((start, stop),))
            return
        async for part in self._archive.records(tp, start, stop):
            yield Chunk(tp, part.records, part.next_offset, lost=part.missing)


def no_leader(tp: TopicPartition) -> TopicReadError:
    """Return the failure of a partition that no broker leads."""
    return TopicReadError(f"{partition_text(tp)} has no leader; reading is tried again. See Kafka's log.")

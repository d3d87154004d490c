"""Take the records of a fetch by whole batches, and catch the errors of aiokafka's record parser in each partition."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any
from weakref import proxy

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult
from aiokafka.errors import CorruptRecordException

from relay.kafka import TopicPartition
from relay.kafka.records import FetchedRecords, ParsedRecord

OnUnreadable = Callable[[TopicPartition, int, Exception], None]
"""Takes the partition, the offset from which it cannot be read, and the parser's error."""


def catch_parse_errors(
    consumer: AIOKafkaConsumer, on_unreadable: OnUnreadable, poll_bytes: int | None = None
) -> None:
    """Let getmany return the records before an unreadable one, as FetchedRecords. The consumer must be started.

    `poll_bytes`: one getmany takes no further batch once its values have so many bytes together; None: all that there are.

    Without this, getmany raises, and loses the records that it took from other partitions, whose positions have moved on.
    """
    fetcher = consumer._fetcher  # noqa: SLF001
    fetcher._records = _FetchResults(on_unreadable, _PollRoom(poll_bytes))  # noqa: SLF001


class _PollRoom:
    """The bytes that one getmany may still take, over all partitions.

    A limit of records alone is either slow for small ones or much memory for large ones. A batch is never divided for it: its
    records are in memory once it is parsed, whether they are taken or not.
    """

    def __init__(self, poll_bytes: int | None) -> None:
        self._poll_bytes = poll_bytes
        self._taken = 0

    @property
    def is_full(self) -> bool:
        return self._poll_bytes is not None and self._taken >= self._poll_bytes

    def add(self, size: int) -> None:
        self._taken += size

    def begin_poll(self) -> None:
        self._taken = 0


class _FetchResults(OrderedDict[TopicPartition, Any]):
    """The fetcher's results by partition, whose records are read through `_ReadableRecords`."""

    def __init__(self, on_unreadable: OnUnreadable, room: _PollRoom) -> None:
        super().__init__()
        self._on_unreadable = on_unreadable
        self._room = room

    def keys(self) -> Any:
        """Begin a poll: the fetcher asks for the partitions once in each look at the results."""
        self._room.begin_poll()
        return super().keys()

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult:
            records = _ReadableRecords(tp, result._partition_records, self._on_unreadable, self._room)  # noqa: SLF001
            result._partition_records = records  # noqa: SLF001
            result.getall = _getall_of(result, records)
        super().__setitem__(tp, result)


def _getall_of(result: Any, records: "_ReadableRecords") -> Callable[[int | None], Sequence[Any]]:
    """Return what replaces `FetchResult.getall`: the same without a loop over the records."""
    # A cycle would keep the bytes of the fetch until the garbage collector runs, which is seldom.
    result = proxy(result)

    def getall(max_records: int | None = None) -> Sequence[Any]:
        if not result.check_assignment(records.tp) or not result.has_more():
            return []
        taken = records.take(max_records)
        result._update_position()  # noqa: SLF001
        if records.exhausted:
            result._partition_records = None  # noqa: SLF001
        return taken

    return getall


class _ReadableRecords:
    """The records of one fetch of one partition, up to the first that cannot be read.

    aiokafka's PartitionRecords makes an object of each record in Python, which takes longer than parsing it.
    """

    def __init__(self, tp: TopicPartition, source: Any, on_unreadable: OnUnreadable, room: _PollRoom) -> None:
        self.tp = tp
        self._source = source
        source._records_iterator = None  # noqa: SLF001  # it holds `source` in a cycle, and is never begun
        self._on_unreadable = on_unreadable
        self._room = room
        self._rest = FetchedRecords()
        """Records of the last batch that were not taken yet."""
        self._read_to: int = source.next_fetch_offset
        """The offset behind the batches that were parsed, and behind the last readable record."""
        self._failed = False

    @property
    def exhausted(self) -> bool:
        """Whether every record was taken."""
        return not self._rest and (self._failed or not self._source._records.has_next())  # noqa: SLF001

    @property
    def next_fetch_offset(self) -> int:
        """The offset behind the records that were taken."""
        return self._rest[0].offset if self._rest else self._read_to

    def take(self, max_records: int | None) -> FetchedRecords:
        """Return the next records, at most `max_records`; None: all."""
        parts: list[FetchedRecords] = []
        count = 0
        while not self._room.is_full and (max_records is None or count < max_records):
            if not self._rest:
                if self._failed or not self._source._records.has_next():  # noqa: SLF001
                    break
                self._rest = self._next_batch()
            taken, self._rest = self._rest, FetchedRecords()
            if max_records is not None:
                stop = max_records - count
                taken, self._rest = taken[:stop], taken[stop:]
            self._room.add(sum(taken.sizes))
            count += len(taken)
            parts.append(taken)
        return FetchedRecords.joined(parts)

    def _next_batch(self) -> FetchedRecords:
        """Return the committed records of the next batch, up to the first unreadable one."""
        readable: list[ParsedRecord] = []
        base_offset = 0
        try:
            batch = self._source._records.next_batch()  # noqa: SLF001
            base_offset, next_offset = batch.base_offset, batch.next_offset
            if not self._is_passed_over(batch):
                self._parse(batch, base_offset, next_offset, readable)
        except Exception as error:  # noqa: BLE001
            # The failure is behind the last good record, and not before its batch: aiokafka's own offset may come from a
            # record with a wrong one.
            self._failed = True
            self._read_to = max(self._read_to, base_offset)
            self._on_unreadable(self.tp, self._read_to, error)
        else:
            self._read_to = next_offset
        return FetchedRecords.of(readable, self.tp)

    def _parse(self, batch: Any, base_offset: int, next_offset: int, readable: list[ParsedRecord]) -> None:
        """Add the records of a batch from `_read_to` on, and move `_read_to` behind each. Raises at the first unreadable one."""
        parsed: list[ParsedRecord] = []
        try:
            parsed.extend(batch)  # keeps those before an error
        finally:
            offsets = list(map(attrgetter("offset"), parsed))
            first, stop = (offsets[0], offsets[-1] + 1) if offsets else (0, 0)
            if (
                max(base_offset, self._read_to) <= first
                and stop <= next_offset
                and stop - first == len(offsets)  # before a list is made: a gap may be huge
                and offsets == list(range(first, stop))
            ):
                readable += parsed
                self._read_to = stop
            else:
                self._check_each(parsed, base_offset, next_offset, readable)

    def _check_each(
        self, parsed: Sequence[ParsedRecord], base_offset: int, next_offset: int, readable: list[ParsedRecord]
    ) -> None:
        """Add records with gaps between their offsets, or of a batch that began before `_read_to`."""
        for record in parsed:
            if record.offset < self._read_to:
                continue
            if not base_offset <= record.offset < next_offset:
                # Kafka checks few offsets within a batch; this one would move the position past good records.
                raise CorruptRecordException("the offset of a record is outside of its batch")
            readable.append(record)
            self._read_to = record.offset + 1

    def _is_passed_over(self, batch: Any) -> bool:
        """Return whether a batch is a transaction marker, or of an aborted transaction; as PartitionRecords decides."""
        source = self._source
        if source._isolation_level == READ_COMMITTED and batch.producer_id is not None:  # noqa: SLF001
            source._consume_aborted_up_to(batch.base_offset)  # noqa: SLF001
            if batch.is_control_batch and source._contains_abort_marker(batch):  # noqa: SLF001
                source._aborted_producers.discard(batch.producer_id)  # noqa: SLF001
            if batch.is_transactional and batch.producer_id in source._aborted_producers:  # noqa: SLF001
                return True
        return bool(batch.is_control_batch)

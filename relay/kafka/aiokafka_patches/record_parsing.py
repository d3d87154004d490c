"""Catch the errors of aiokafka's record parser, each in its own partition."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import CorruptRecordException

from relay.kafka import Record, TopicPartition

OnUnreadable = Callable[[TopicPartition, int, Exception], None]
"""Takes the partition, the offset from which it cannot be read, and the parser's error."""


def catch_parse_errors(consumer: AIOKafkaConsumer, on_unreadable: OnUnreadable) -> None:
    """Let getmany return the records before an unreadable one. The consumer must be started.

    Without this, getmany raises, and loses the records that it took from other partitions, whose positions have moved on.
    """
    fetcher = consumer._fetcher  # noqa: SLF001
    fetcher._records = _FetchedRecords(on_unreadable)  # noqa: SLF001


class _FetchedRecords(OrderedDict[TopicPartition, Any]):
    """The fetcher's results by partition, whose records are read through `_ReadableRecords`."""

    def __init__(self, on_unreadable: OnUnreadable) -> None:
        super().__init__()
        self._on_unreadable = on_unreadable

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult:
            records = _ReadableRecords(tp, result._partition_records, self._on_unreadable)  # noqa: SLF001
            result._partition_records = records  # noqa: SLF001
        super().__setitem__(tp, result)


class _ReadableRecords:
    """The records of one fetch of one partition, up to the first that cannot be read.

    aiokafka's PartitionRecords runs at its own speed: it calls a function for each record, which this leaves out.
    """

    def __init__(self, tp: TopicPartition, records: Any, on_unreadable: OnUnreadable) -> None:
        self._tp = tp
        self._source = records
        self._batches = records._records = _Batches(records._records)  # noqa: SLF001
        self._on_unreadable = on_unreadable
        self._unreadable_from: int | None = None
        self._iterator = self._read(records.next_fetch_offset)

    @property
    def next_fetch_offset(self) -> int:
        """The offset behind the records that were handed out."""
        if self._unreadable_from is not None:
            return self._unreadable_from
        return int(self._source.next_fetch_offset)

    def __iter__(self) -> Iterator[Record]:
        return self._iterator

    def __next__(self) -> Record:
        return next(self._iterator)

    def _read(self, offset: int) -> Iterator[Record]:
        # 1. Kafka checks few offsets within a batch; one outside of it would move the position past good records.
        # 2. The offset of the failure is that of the last good record and the base of the batch, whichever is later:
        #    aiokafka's own may come from a record with a wrong offset.
        batches = self._batches
        try:
            for record in self._source._records_iterator:  # noqa: SLF001
                if not batches.base_offset <= record.offset < batches.next_offset:
                    raise CorruptRecordException("the offset of a record is outside of its batch")
                offset = record.offset + 1
                yield record
        except Exception as error:  # noqa: BLE001
            self._unreadable_from = max(offset, batches.base_offset)
            self._on_unreadable(self._tp, self._unreadable_from, error)


class _Batches:
    """aiokafka's MemoryRecords, which remembers the offsets of the batch that is read."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self.has_next = batches.has_next
        self.base_offset = self.next_offset = 0

    def next_batch(self) -> Any:
        batch = self._batches.next_batch()
        self.base_offset, self.next_offset = batch.base_offset, batch.next_offset
        return batch

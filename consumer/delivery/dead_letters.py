"""Records that cannot be delivered, on the dead-letter topic with their original bytes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from consumer.delivery.defects import describe_defect
from consumer.delivery.flow_state import FlowState
from consumer.metrics import PipelineMetrics
from consumer.offsets.tracker import TrackedRecords
from consumer.timing import SenderTiming
from relay.dead_letters.letter import relay_headers
from relay.kafka import Record
from relay.kafka.producer import RecordTooLargeError, RecordWriter, TopicWriteError
from relay.timestamps import now_ms

T = TypeVar("T")

MIN_PART_BYTES = 1_000


class DeadLetterWriter:
    """Writes to the dead-letter topic on behalf of one destination."""

    def __init__(
        self,
        writer: RecordWriter,
        topic: str,
        destination: str,
        now_ms: Callable[[], int] = now_ms,
        topic_problem: Callable[[], str | None] = lambda: None,
        fields: Callable[[Record], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """`topic_problem`: why a dead letter would be lost on the topic now; None: it would not.

        `fields`: further headers of a record's letter, without the prefix `relay.`; they replace those of the same name.
        """
        self._fields = fields
        self._topic_problem = topic_problem
        self._writer = writer
        self._topic = topic
        self._destination = destination
        self._now_ms = now_ms
        self._max_value_bytes: int | None = None
        """Bytes of a value that Kafka accepts; None: it has not rejected any yet."""

    async def put(self, record: Record, reason: str, status: int | None = None) -> None:
        """Write key and value untouched, and the relay's headers after the record's own. Return when all in-sync replicas have it.

        A value that is too large for the topic is written in numbered parts, as the producer's dead letters are. Raises
        TopicWriteError while the topic would lose it, or when Kafka does not confirm; the record may then be on the topic twice.
        """
        if (problem := self._topic_problem()) is not None:
            raise TopicWriteError(problem)
        fields = {
            "reason": reason,
            "service": "consumer",
            "destination": self._destination,
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "status": "" if status is None else str(status),
            "at": str(self._now_ms()),
            **self._fields(record),
        }
        headers = [*record.headers, *relay_headers(fields)]
        partition = _partition_of_forebear(fields)
        while True:
            parts = _split_value(record.value, self._max_value_bytes)
            try:
                for number, part in enumerate(parts, 1):
                    part_header = (
                        [("relay.part", f"{number}/{len(parts)}".encode())] if len(parts) > 1 else []
                    )
                    await self._writer.send(
                        self._topic, record.key, part, partition=partition, headers=[*headers, *part_header]
                    )
            except RecordTooLargeError:
                rejected_bytes = len(parts[0] or b"")
                if rejected_bytes <= MIN_PART_BYTES:
                    raise
                self._max_value_bytes = rejected_bytes // 2
            else:
                return


def _partition_of_forebear(fields: Mapping[str, str]) -> int | None:
    """Return the partition of the letter that is closed by one with these fields; None: it closes none, and its key decides.

    A letter is closed by a record of its own partition, also after the topic got more partitions.
    """
    address = fields.get("redrive")
    return None if address is None else int(address.partition("/")[0])


def _split_value(value: bytes | None, max_bytes: int | None) -> list[bytes | None]:
    if value is None or max_bytes is None or len(value) <= max_bytes:
        return [value]
    return [value[start : start + max_bytes] for start in range(0, len(value), max_bytes)]


class DeadLetterTopic(Protocol):
    """Where dead letters are put: a `DeadLetterWriter`."""

    async def put(self, record: Record, reason: str, status: int | None = None) -> None: ...


class Uninterrupted(Protocol):
    async def __call__(self, awaitable: Awaitable[T]) -> T: ...


DeadLetterEntry = tuple[TrackedRecords, str]
"""One record, and the reason for which it becomes a dead letter."""


class DeadLetterSender:
    """Writes dead letters of one assignment, each until Kafka has confirmed it.

    `may_act` is awaited before each write. `uninterrupted` awaits a write that a stop must not cancel.
    """

    def __init__(
        self,
        writer: DeadLetterTopic,
        state: FlowState,
        metrics: PipelineMetrics,
        timing: SenderTiming,
        on_delivered: Callable[[TrackedRecords], None],
        may_act: Callable[[], Awaitable[None]],
        uninterrupted: Uninterrupted,
    ) -> None:
        self._writer = writer
        self._state = state
        self._metrics = metrics
        self._timing = timing
        self._on_delivered = on_delivered
        self._may_act = may_act
        self._uninterrupted = uninterrupted

    async def send(
        self, tracked: TrackedRecords, category: str, reasons: Sequence[str], status: int | None
    ) -> None:
        """Write these records, some at a time; a failed write is tried again and shown in the status."""
        pending, attempt, key = list(zip(tracked.singles(), reasons, strict=True)), 0, object()
        size = self._timing.dead_letters_at_a_time
        try:
            while pending:
                failed, error = await self._write(pending[:size], category, status)
                pending = failed + pending[size:]
                if error is None:
                    self._state.dead_letters_written(key)
                    attempt = 0
                    continue
                self._state.dead_letters_failing(key, _dead_letter_failure_text(error))
                self._metrics.dead_letter_write_failed(len(failed), error)
                await asyncio.sleep(self._timing.dead_letter.wait(attempt, random.random()))
                attempt += 1
        finally:
            self._state.dead_letters_written(key)

    async def _write(
        self, entries: Sequence[DeadLetterEntry], category: str, status: int | None
    ) -> tuple[list[DeadLetterEntry], str | None]:
        """Write each once. Return those that Kafka did not confirm, and the first error."""
        await self._may_act()
        puts = [self._writer.put(tracked.records[0], reason, status) for tracked, reason in entries]
        results = await self._uninterrupted(asyncio.gather(*puts, return_exceptions=True))
        failed, errors = [], []
        for (tracked, reason), result in zip(entries, results, strict=True):
            if isinstance(
                result, Exception | asyncio.CancelledError
            ):  # gather raises a cancellation of this task
                failed.append((tracked, reason))
                errors.append(str(result) if isinstance(result, TopicWriteError) else describe_defect(result))
            elif result is not None:
                raise result
            else:
                self._state.record_dead_lettered()
                self._metrics.dead_lettered(tracked.records[0], category, reason)
                self._on_delivered(tracked)
        return failed, errors[0] if errors else None


def _dead_letter_failure_text(error: str) -> str:
    return (
        f"Records that cannot be delivered wait for the dead-letter topic ({error.removesuffix('.')}). Check that the topic exists"
        " and that the relay may write to it. Nothing is dropped."
    )

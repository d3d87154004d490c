"""A group of two partitions in memory, and a destination whose routes answer as a test says."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import orjson

from consumer.assignment.handler import AssignmentHandler
from consumer.destinations.contract import Body
from consumer.destinations.outcome import Outcome, Sent
from consumer.offsets.delivered import RecordFingerprint
from consumer.timing import BackoffCurve, BreakerTiming, BufferLimits, RouteHoldTiming
from relay.kafka import KafkaError, OffsetAndMetadata, Record, TopicPartition
from tests.support.fake_sentinel import FakeSentinel
from tests.support.in_memory_group import A, B, FakeGroup, handler
from tests.support.in_memory_log import InMemoryLog
from tests.support.messages import event, message
from tests.support.waiting import wait_until

QUICK = BackoffCurve(0.01, 0.02)
HOLD = RouteHoldTiming(
    check_seconds=0.02,
    silent_seconds=1.0,
    report_seconds=0.0,
    witness_seconds=0.1,
    witness_reading_seconds=0.05,
)


class TwoPartitions(FakeGroup):
    """A group with a log, a position, a pause and an offset for each of two partitions. `log` holds the records of A."""

    def __init__(self, organizations: Mapping[TopicPartition, Sequence[str]], count: int) -> None:
        """`organizations`: by partition; its events are of each in turn. `count`: events of each partition."""
        super().__init__(0)
        self.logs: dict[TopicPartition, list[Any]] = {A: self.log, B: []}
        self._organizations = organizations
        self.next = dict.fromkeys((A, B), 0)
        self.stopped: set[TopicPartition] = set()
        self.offsets: dict[TopicPartition, OffsetAndMetadata | None] = dict.fromkeys(
            (A, B), OffsetAndMetadata(0, "")
        )
        self.append(count)

    def append(self, count: int) -> None:
        """Append as many events to each partition. Their ids are 1,000,000 times the partition's number, and the offset."""
        for partition, names in self._organizations.items():
            log = self.logs[partition]
            for offset in range(len(log), len(log) + count):
                made = event(
                    partition.partition * 1_000_000 + offset, organization=names[offset % len(names)]
                )
                log.append(message(made, partition=partition.partition, offset=offset))

    def ids(self, *organizations: str) -> list[int]:
        """Return the ids of the events of organizations; none named: of all."""
        return [
            partition.partition * 1_000_000 + record.offset
            for partition, log in self.logs.items()
            for record in log
            if not organizations or record.key.decode() in organizations
        ]

    @property
    def is_committed(self) -> bool:
        return all(
            (stored := self.offsets[each]) and stored.offset == len(log) for each, log in self.logs.items()
        )

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.next[partition] = offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.stopped |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.stopped -= set(partitions)

    async def position(self, partition: TopicPartition) -> int:
        return self.next[partition]

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        if self.rejects_commits:
            raise KafkaError("the group has moved on")
        self.offsets |= offsets

    async def committed(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        return {each: self.offsets[each] for each in partitions}

    async def records_at(
        self, offsets: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record | None]:
        return {
            each: self.logs[each][offset] for each, offset in offsets.items() if offset < len(self.logs[each])
        }

    async def find(
        self, partition: TopicPartition, start: int, fingerprint: RecordFingerprint
    ) -> RecordFingerprint | None:
        return await InMemoryLog(lambda: dict(enumerate(self.logs[partition]))).find(
            partition, start, fingerprint
        )

    async def last_before(self, partition: TopicPartition, offset: int) -> RecordFingerprint | None:
        return await InMemoryLog(lambda: dict(enumerate(self.logs[partition]))).last_before(partition, offset)

    def read(self, count: int) -> dict[TopicPartition, list[Any]]:
        """Return the next records of each partition that is not paused."""
        found = {}
        for each in {A, B} - self.stopped:
            start = self.next[each]
            found[each] = self.logs[each][start : start + count]
            self.next[each] = start + len(found[each])
        return found


class RoutedDestination(FakeSentinel):
    """Answers each route as `answers` says, which may wait; the others with Sent. Remembers what each has accepted."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(**limits)
        self.answers: dict[str | None, Callable[[list[int]], Outcome | None]] = {}
        """None: never."""
        self.open = 0
        self.most_open = 0

    async def send(self, body: Body) -> Outcome:
        rows = [row["EventId"] for row in orjson.loads(body.content)]
        self.sent.append(body)
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            await asyncio.sleep(0)
            outcome = self.answers.get(body.route, lambda _rows: Sent())(rows)
            if outcome is None:
                await asyncio.Event().wait()
            assert outcome is not None
        finally:
            self.open -= 1
        if outcome == Sent():
            self.accepted += rows
        return outcome


def routed_handler(destination: RoutedDestination, kafka: TwoPartitions, **options: Any) -> AssignmentHandler:
    """Return a process with quick waits and small buffers."""
    timing = {
        "buffers": BufferLimits(decode_block_bytes=20_000, record_buffer_bytes=40_000, chunk_bytes=2_000),
        "route_hold": HOLD,
        "commit_interval_seconds": 0.005,
        "retry_seconds": 0.01,
        "capacity_wait_seconds": 0.005,
        **options,
    }
    return handler(
        kafka,
        destination,
        breaker=BreakerTiming(QUICK, QUICK),
        sender={"rejection": QUICK, "request_grace_seconds": 0.05},
        log=kafka,
        **timing,
    )


class ReadingProcess:
    """A process that reads both partitions while it is entered."""

    def __init__(self, destination: RoutedDestination, kafka: TwoPartitions, **options: Any) -> None:
        self.handler = routed_handler(destination, kafka, **options)
        self._kafka = kafka
        self._reading: asyncio.Task[None] | None = None

    @property
    def state(self) -> Any:
        return self.handler._pipeline.flow.state

    @property
    def assignment(self) -> Any:
        return self.handler._assignment

    async def __aenter__(self) -> Self:
        self.handler.assigned(self._kafka, {A, B})  # type: ignore[arg-type]
        await wait_until(lambda: self.handler.ready)
        self._reading = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        while True:
            records = self._kafka.read(20)
            await self.handler.records(records)
            await asyncio.sleep(0 if any(records.values()) else 0.005)  # Kafka waits for records too

    async def __aexit__(self, *_: object) -> None:
        assert self._reading is not None
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        if self.assignment is not None:
            await self.assignment.close(finish_seconds=0, answer_seconds=0)
        await self.handler.closed()

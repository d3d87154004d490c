"""A pipeline without a broker: a consumer group on paper, which refuses commits when told, and everything above it."""

from prometheus_client import CollectorRegistry

from consumer.assignment.handler import AssignmentHandler
from consumer.assignment.pump import Pipeline
from consumer.assignment.start_offsets import StartOffsetResolver
from consumer.delivery.circuit_breaker import CircuitBreaker, RateLimit
from consumer.delivery.stream import DeliveryStream
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.timing import AssignmentTiming, BreakerTiming, SenderTiming
from relay.kafka import KafkaError, OffsetAndMetadata, OffsetMetadataTooLargeError, TopicPartition
from tests.support.messages import WRITER_SCHEMAS, event, message
from tests.support.waiting import wait_until

A, B = TopicPartition("events", 0), TopicPartition("events", 1)


class FakeGroup:
    """What a group, its topic and a membership are (relay.kafka.positions.Positions)."""

    def __init__(self, count, committed=0):
        self.log = [message(event(number), offset=number) for number in range(count)]
        self.stored = None if committed is None else OffsetAndMetadata(committed, "")
        self.next_offset = 0
        self.paused = True
        self.unreliable = False
        self.refuses_commits = False
        self.refused_commits = 0
        self.max_metadata = 4096
        self.commits = []

    @property
    def committed_offset(self):
        return None if self.stored is None else self.stored.offset

    def seek(self, _partition, offset):
        self.next_offset = offset

    def pause(self, _partitions):
        self.paused = True

    def resume(self, _partitions):
        self.paused = False

    async def renewed(self):
        pass

    def corrupt_batch(self, _partition):
        return None

    async def position(self, _partition):
        return self.next_offset

    async def commit(self, offsets):
        if self.refuses_commits:
            self.refused_commits += 1
            raise KafkaError("the group has moved on")
        if any(len(each.metadata) > self.max_metadata for each in offsets.values()):
            raise OffsetMetadataTooLargeError
        if A not in offsets:
            return
        self.stored = offsets[A]
        self.commits.append(self.committed_offset)

    async def committed(self, partitions):
        return dict.fromkeys(partitions, self.stored)

    async def first_offsets(self, partitions):
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, len(self.log))

    async def offsets_for_time(self, partitions, at_ms):
        found = next((record.offset for record in self.log if record.timestamp >= at_ms), None)
        return dict.fromkeys(partitions, found)

    def poll(self, count):
        records = [] if self.paused else self.log[self.next_offset : self.next_offset + count]
        self.next_offset += len(records)
        return {A: records}


class FakeSchemaLookup:
    async def schemas_for(self, _records):
        return WRITER_SCHEMAS


class FakeDeadLetterWriter:
    def __init__(self):
        self.put_records = []

    async def put(self, record, reason, status=None):
        self.put_records.append((record.offset, reason, status))


def handler(
    kafka,
    destination,
    start="earliest",
    *,
    linger=0.01,
    select=None,
    registry=None,
    sender=None,
    breaker=None,
    **timing,
):
    async def no_backup():
        return OffsetBackup({}, 0)

    async def records_at(offsets):
        return {each: kafka.log[offset] for each, offset in offsets.items()}

    metrics = ConsumerMetrics(registry or CollectorRegistry()).for_pipeline("sentinel", "live")
    stream = DeliveryStream(
        destination,
        CircuitBreaker(RateLimit(), breaker or BreakerTiming()),
        FakeDeadLetterWriter(),
        metrics,
        timing=SenderTiming(**(sender or {})),
    )
    resolver = StartOffsetResolver(start, no_backup, records_at, metrics)
    assignment = AssignmentTiming(**timing)
    return AssignmentHandler(Pipeline(resolver, FakeSchemaLookup(), stream, linger, select, assignment))


async def assign(handler, kafka):
    handler.assigned(kafka, {A})
    await wait_until(lambda: handler.ready)


def count(registry, name, **labels):
    labels = {"destination": "sentinel", "flow": "live", **labels}
    return registry.get_sample_value(f"jira_relay_{name}_total", labels) or 0


def counters(registry):
    """Read, and the four ends that a record can have."""
    ends = [count(registry, f"events_{name}") for name in ("accepted", "skipped", "released")]
    dead = sum(count(registry, "events_dead_lettered", why=why) for why in ("unreadable", "refused"))
    return count(registry, "events_read"), [*ends[:2], dead, ends[2]]

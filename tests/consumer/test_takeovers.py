"""What consumers know of one another's work, through every history of commits, crashes, lost ends and set offsets."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from prometheus_client import CollectorRegistry

from consumer.assignment.start_offset_resolver import StartOffsetResolver
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.offsets.delivered import MAX_DELIVERED_RANGES, DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, TrackedRecords, slice_sequences
from consumer.timing import StartTiming
from relay.kafka import KafkaError, OffsetAndMetadata, TopicPartition
from tests.support.in_memory_log import InMemoryLog
from tests.support.messages import Message

A = TopicPartition("events", 0)


class FakeProcess:
    """One that may have the partition of a log."""

    def __init__(self, history):
        async def no_backup():
            return OffsetBackup({}, 0)

        metrics = ConsumerMetrics(CollectorRegistry()).for_pipeline("sentinel", "live")
        self.resolver = StartOffsetResolver(
            "earliest",
            no_backup,
            InMemoryLog(history.records, lambda: history.first),
            metrics,
            clock=lambda: history.now,
        )
        self.tracker = None
        self.outstanding = []
        self.known_delivered = set()
        """Offsets of what is delivered as far as this process can know."""


class NothingIsSkipped(RuleBasedStateMachine):
    """One partition, two processes that have it in turn, and a group's offset; also what BoundedConsumer tells of them.

    Nothing that was never accepted is ever skipped, nor what an operator wants again; and nothing is sent again that the owner
    has delivered, or that was committed as delivered, in ranges or not.
    """

    def __init__(self):
        super().__init__()
        self.log = []  # the number of the record at each offset
        self.first = 0
        self.appended = 0
        self.now = 0.0
        self.group = OffsetAndMetadata(0, "")
        self.committed_delivered = set()  # offsets that were committed as delivered
        self.accepted = set()
        self.wanted = set()  # offsets that an operator wants again
        self.processes = [FakeProcess(self), FakeProcess(self)]
        self.owner = None
        self.position = 0
        self.delivered = set()  # offsets, as far as the owner can know

    async def committed(self, partitions):
        return dict.fromkeys(partitions, self.group)

    async def first_offsets(self, partitions):
        return dict.fromkeys(partitions, self.first)

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, len(self.log))

    async def offsets_for_time(self, partitions, _at_ms):
        return dict.fromkeys(partitions, self.first)

    def records(self):
        return {at: self.record(at) for at in range(self.first, len(self.log))}

    def record(self, offset):
        return Message(b"%d" % self.log[offset], b"key", 1, offset=offset)

    def append(self, count):
        self.log += range(self.appended, self.appended + count)
        self.appended += count

    @precondition(lambda self: self.owner is None)
    @rule(number=st.integers(0, 1))
    def assign(self, number):
        owner = self.processes[number]
        try:
            start_progress = run_sync(owner.resolver.resolve(self, [A]))[A].progress
        except KafkaError:  # the log has lost its end, and may be given it back
            self.now += StartTiming().log_end_wait_seconds + 1
            start_progress = run_sync(owner.resolver.resolve(self, [A]))[A].progress
        skipped = [at for at in range(self.first, len(self.log)) if is_delivered(start_progress, at)]
        assert all(self.log[at] in self.accepted for at in skipped)
        assert not self.wanted & set(skipped)
        assert {at for at in owner.known_delivered | self.committed_delivered if at >= self.first} <= set(
            skipped
        )
        self.owner, self.position, self.delivered = (
            owner,
            start_progress.offset,
            set(skipped) | set(range(self.first)),
        )
        owner.tracker, owner.outstanding = OffsetTracker(), []
        owner.tracker.start(A, start_progress)
        self._commit(arrives=True)

    @precondition(lambda self: self.owner is not None)
    @rule(count=st.integers(1, 9))
    def read(self, count):
        self.append(max(0, self.position + count - len(self.log)))
        offsets = range(self.position, self.position + count)
        for sequence, records in self.owner.tracker.track(A, [self.record(at) for at in offsets]):
            for number, record in enumerate(records):
                assert record.offset not in self.owner.known_delivered | self.committed_delivered
                self.owner.outstanding.append(
                    (slice_sequences([sequence], number, number + 1), record.offset)
                )
        self.position = offsets[-1] + 1

    @precondition(lambda self: self.owner is not None and self.owner.outstanding)
    @rule(
        chances=st.lists(st.booleans(), min_size=1, max_size=9), commits=st.sampled_from([None, True, False])
    )
    def accept(self, chances, commits):
        outstanding, self.owner.outstanding = self.owner.outstanding, []
        for (sequences, offset), accepted in zip(outstanding, itertools.cycle(chances), strict=False):
            if accepted:
                self.owner.tracker.mark_delivered(TrackedRecords([self.record(offset)], sequences))
                self.accepted.add(self.log[offset])
                self.wanted.discard(offset)
                self.delivered.add(offset)
            else:
                self.owner.outstanding.append((sequences, offset))
        if commits is not None:
            self._commit(arrives=commits)

    @precondition(lambda self: self.owner is not None)
    @rule(arrives=st.booleans(), max_ranges=st.sampled_from([0, 1, MAX_DELIVERED_RANGES]))
    def commit(self, arrives, max_ranges):
        self._commit(arrives=arrives, max_ranges=max_ranges)

    def _commit(self, *, arrives, max_ranges=MAX_DELIVERED_RANGES):
        self.owner.resolver.known_progress |= self.owner.tracker.progress()
        self.owner.known_delivered = set(self.delivered)
        progress = self.owner.tracker.progress({A: self.position})[A].with_first_ranges(max_ranges)
        if arrives:
            self.group = progress.to_offset_and_metadata()
            whole = max_ranges == MAX_DELIVERED_RANGES
            self.committed_delivered = {at for at in self.delivered if whole or is_delivered(progress, at)}

    @precondition(lambda self: self.owner is not None)
    @rule(arrives=st.booleans())
    def revoke(self, arrives):
        self._commit(arrives=arrives)
        self.owner = None

    @precondition(lambda self: self.owner is not None)
    @rule()
    def crash(self):
        self.processes[self.processes.index(self.owner)] = FakeProcess(self)
        self.owner = None

    @precondition(lambda self: self.owner is None)
    @rule(data=st.data())
    def an_operator_sets_the_offset(self, data):
        """Back, or to the same offset, since forward means to skip."""
        self.group = OffsetAndMetadata(data.draw(st.integers(0, self.group.offset)), "")
        self.accepted |= set(self.log[: self.group.offset])  # also records that came to be there since
        self.wanted = set(range(self.group.offset, len(self.log)))
        self._forget()

    @precondition(lambda self: self.owner is None and self.first < len(self.log))
    @rule(data=st.data())
    def retention(self, data):
        self.first = data.draw(st.integers(self.first, len(self.log) - 1))

    @precondition(lambda self: self.owner is None and self.first < len(self.log) and self._is_marked())
    @rule(data=st.data())
    def lose_the_end(self, data):
        """Other records may take their offsets before a process looks."""
        kept = data.draw(st.integers(self.first, len(self.log) - 1))
        grown = data.draw(st.integers(0, len(self.log) - kept + 5))
        del self.log[kept:]
        self.append(grown)
        self.wanted = {at for at in self.wanted if at < kept}
        self._forget()

    def _is_marked(self):
        """Whether the record before the group's offset can be known again; behind an offset that an operator set none is."""
        last = DeliveryProgress.from_offset_and_metadata(*self.group).last
        return last is not None and last.offset == self.group.offset - 1 >= self.first

    def _forget(self):
        self.committed_delivered = set()
        for process in self.processes:
            process.known_delivered = set()


def is_delivered(progress, offset):
    return offset < progress.offset or any(
        each.first <= offset < each.stop for each in progress.delivered_ahead
    )


def run_sync(coroutine):
    """What a coroutine returns that waits for nothing."""
    with pytest.raises(StopIteration) as returned:
        coroutine.send(None)
    return returned.value.value


NothingIsSkipped.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
test_nothing_is_skipped = NothingIsSkipped.TestCase

"""What a process knows beyond the group's offsets, through every history of commits, crashes and rewinds."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from prometheus_client import CollectorRegistry

from consumer.beginning import Beginner, Mirror
from consumer.memory import Known, Memory
from consumer.offsets import Mark, Offsets, cut
from consumer.telemetry import Metrics
from relay.kafka import TopicPartition
from tests.consumer.messages import Message, stood

LAST = Mark.of(*stood([89]))
A = TopicPartition("events", 0)


@pytest.mark.parametrize(
    ("known", "committed", "ahead"),
    [
        (Known(settled=90, committed=50, last=LAST), 50, True),
        (Known(settled=90, committed=50, last=LAST), 70, True),
        (Known(settled=90, committed=50, last=LAST), 90, False),
        (Known(settled=90, committed=50, last=LAST), 49, False),
        (Known(settled=90, committed=50, last=LAST), None, False),
        (Known(settled=90, committed=50), 50, False),
        (Known(settled=90, committed=None, last=LAST), 50, True),
    ],
)
def test_more_is_known_unless_the_group_was_set_back(known, committed, ahead):
    assert known.ahead_of(committed) is ahead


def test_a_beginning_ends_what_was_known_of_what_follows():
    memory = Memory()
    memory.began(A, 10, committed=10)
    memory.settled(A, LAST)
    memory.began(A, 90, committed=10)
    assert memory.of(A) == Known(90, 10, LAST)
    memory.began(A, 5, committed=5)
    assert memory.of(A) == Known(5, 5)


class Process:
    """One that may have the partition of a log."""

    def __init__(self, there):
        async def no_mirror():
            return Mirror({}, 0)

        async def records_at(offsets):
            return {each: there.record(at) for each, at in offsets.items() if at < len(there.log)}

        metrics = Metrics(CollectorRegistry()).of("sentinel", "live")
        self.beginner = Beginner("earliest", no_mirror, records_at, metrics)
        self.offsets = None
        self.out = []
        self.reached = 0
        """Before it, all is settled as far as this process can know."""


class NothingIsSkipped(RuleBasedStateMachine):
    """One partition, two processes that have it in turn, and a group's offset; also what Positions tells of them.

    Nothing that was never accepted is ever skipped, and no process sends again what it has settled without a gap.
    """

    def __init__(self):
        super().__init__()
        self.log = []  # who stands at each offset
        self.happened = 0
        self.group = 0
        self.accepted = set()
        self.processes = [Process(self), Process(self)]
        self.owner = None
        self.position = 0

    async def committed(self, _partition):
        return self.group

    async def first_offsets(self, partitions):
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, len(self.log))

    def record(self, offset):
        return Message(b"%d" % self.log[offset], b"key", 1, offset=offset)

    @rule(count=st.integers(1, 6))
    def happen(self, count):
        self.log += range(self.happened, self.happened + count)
        self.happened += count

    @precondition(lambda self: self.owner is None)
    @rule(number=st.integers(0, 1))
    def assign(self, number):
        owner = self.processes[number]
        begun = done(owner.beginner.find(self, [A]))[A].offset
        assert all(each in self.accepted for each in self.log[:begun])
        assert begun >= owner.reached
        self.owner, self.position = owner, begun
        owner.offsets, owner.out = Offsets(), []

    @precondition(lambda self: self.owner is not None and self.position < len(self.log))
    @rule(count=st.integers(1, 6))
    def read(self, count):
        offsets = list(range(self.position, min(self.position + count, len(self.log))))
        span = self.owner.offsets.hand_out(A, offsets)
        self.owner.out += [(cut([span], n, n + 1), offset) for n, offset in enumerate(offsets)]
        self.position = offsets[-1] + 1

    @precondition(lambda self: self.owner is not None and self.owner.out)
    @rule(data=st.data())
    def accept(self, data):
        spans, offset = self.owner.out.pop(data.draw(st.integers(0, len(self.owner.out) - 1)))
        self.owner.offsets.settle(spans, [self.record(offset)])
        self.accepted.add(self.log[offset])

    def _remember(self):
        for last in self.owner.offsets.marks().values():
            self.owner.beginner.memory.settled(A, last)
            self.owner.reached = last.offset + 1

    @precondition(lambda self: self.owner is not None)
    @rule(arrives=st.booleans(), answered=st.booleans())
    def commit(self, arrives, answered):
        self._remember()
        offset = self.owner.offsets.committable({A: self.position})[A]
        if arrives:
            self.group = offset
        if arrives and answered:
            self.owner.beginner.memory.committed({A: offset})

    @precondition(lambda self: self.owner is not None)
    @rule()
    def revoke(self):
        self._remember()
        self.owner = None

    @precondition(lambda self: self.owner is not None)
    @rule()
    def crash(self):
        self.processes[self.processes.index(self.owner)] = Process(self)
        self.owner = None

    @precondition(lambda self: self.owner is None and self.group > 0)
    @rule(data=st.data())
    def set_back(self, data):
        self.group = data.draw(st.integers(0, self.group - 1))
        self._forget()

    @precondition(lambda self: self.owner is None and self._furthest() > self.group)
    @rule(data=st.data())
    def lose_the_end_and_grow(self, data):
        """Of what somebody remembers, behind the group's offset; others come to stand there before anybody looks."""
        kept = data.draw(st.integers(self.group, self._furthest() - 1))
        lost = len(self.log) - kept
        del self.log[kept:]
        self.happen(lost)
        self._forget()

    def _furthest(self):
        return max(process.reached for process in self.processes)

    def _forget(self):
        for process in self.processes:
            process.reached = 0


def done(coroutine):
    """What a coroutine returns that waits for nothing."""
    with pytest.raises(StopIteration) as returned:
        coroutine.send(None)
    return returned.value.value


NothingIsSkipped.TestCase.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
test_nothing_is_skipped = NothingIsSkipped.TestCase

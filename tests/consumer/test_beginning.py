from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from consumer.beginning import PATIENCE_SECONDS, REPEAT_MS, Beginner, Beginning, Facts, Mirror, beginning
from consumer.offsets import Mark
from consumer.telemetry import Metrics
from relay.kafka import KafkaError, TopicPartition
from tests.consumer.messages import stood

A, B = TopicPartition("events", 0), TopicPartition("events", 1)


@pytest.mark.parametrize(
    ("facts", "offset", "lost"),
    [
        (Facts(committed=50, mirrored=40, first=10, start=0), 50, 0),
        (Facts(committed=10, mirrored=None, first=10, start=99), 10, 0),
        (Facts(committed=5, mirrored=40, first=10, start=0), 10, 5),
        (Facts(committed=50, mirrored=40, first=10, start=0, delivered=70), 70, 0),
        (Facts(committed=50, mirrored=40, first=90, start=0, delivered=70), 90, 20),
        (Facts(committed=None, mirrored=40, first=10, start=99), 40, 0),
        (Facts(committed=None, mirrored=4, first=10, start=99), 10, 6),
        (Facts(committed=None, mirrored=None, first=10, start=99), 99, 0),
        (Facts(committed=None, mirrored=None, first=10, start=0), 10, 0),
    ],
)
def test_reading_goes_on_where_the_group_was_as_far_as_anybody_knows(facts, offset, lost):
    found = beginning(facts)
    assert (found.offset, found.lost) == (offset, lost)


class Group:
    """What Kafka knows of a group (relay.kafka.positions.Positions)."""

    def __init__(self, committed, first=0, end=100, at=60):
        self._committed = committed
        self._first = first
        self.end = end
        self._at = at
        self.asked = []

    async def committed(self, partition):
        return self._committed.get(partition)

    async def first_offsets(self, partitions):
        return dict.fromkeys(partitions, self._first)

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, self.end)

    async def offsets_for_time(self, partitions, at_ms):
        self.asked.append(at_ms)
        return dict.fromkeys(partitions, self._at)


def beginner(start="earliest", mirror=None, clock=lambda: 0.0, log=None):
    async def told():
        if mirror is None:
            raise AssertionError("nobody should have asked")
        return mirror

    async def records_at(offsets):
        return {each: log[offset] for each, offset in offsets.items() if offset in (log or {})}

    metrics = Metrics(CollectorRegistry()).of("sentinel", "live")
    return Beginner(start, told, records_at, metrics, clock)


MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(("start", "offset"), [("earliest", 0), ("latest", 100), (MOMENT, 60)])
async def test_the_first_start_is_an_explicit_choice(start, offset):
    group = Group({})
    found = await beginner(start, Mirror({}, 0)).find(group, [A])
    assert found[A].offset == offset
    assert group.asked == ([MOMENT.timestamp() * 1000] if start is MOMENT else [])


async def test_a_time_after_the_last_event_is_the_end():
    found = await beginner(MOMENT, Mirror({}, 0)).find(Group({}, at=None), [A])
    assert found[A].offset == 100


async def test_the_status_topic_is_asked_only_about_what_kafka_does_not_know():
    found = await beginner().find(Group({A: 7, B: 8}), [A, B])
    assert {each: found[each].offset for each in found} == {A: 7, B: 8}

    found = await beginner("latest", Mirror({B: 30}, 1)).find(Group({A: 7}), [A, B])
    assert {each: found[each].offset for each in found} == {A: 7, B: 30}


async def test_an_end_that_lies_behind_is_waited_for_before_it_is_believed():
    """A broker that comes up may tell too low an end; one that has lost the end of its log never tells another."""
    now = 0.0
    one = beginner(mirror=Mirror({A: 90}, 5_000_000), clock=lambda: now)
    group = Group({A: 90}, end=80)

    assert (await one.find(group, [A]))[A] == Beginning(90, "the group's committed offset")
    now = PATIENCE_SECONDS + 1
    found = (await one.find(group, [A]))[A]
    assert (found.offset, group.asked) == (60, [5_000_000 - REPEAT_MS])


async def test_an_end_that_comes_back_is_forgotten():
    now = 0.0
    one = beginner(clock=lambda: now)
    group = Group({A: 90}, end=80)
    await one.find(group, [A])
    group.end = 95
    await one.find(group, [A])
    group.end, now = 80, PATIENCE_SECONDS + 1
    assert (await one.find(group, [A]))[A].offset == 90


(LAST,) = stood([79])


def left_behind(log, clock=lambda: 0.0):
    """The beginner of a process that has committed 50 and delivered up to LAST."""
    one = beginner(log=log, clock=clock)
    one.memory.began(A, 50, committed=50)
    one.memory.settled(A, Mark.of(LAST))
    return one


async def test_what_was_delivered_and_not_committed_is_not_delivered_again():
    found = (await left_behind({79: LAST}).find(Group({A: 50}), [A]))[A]
    assert (found.offset, found.lost) == (80, 0)


@pytest.mark.parametrize("change", [{"value": b"another"}, {"key": b"another"}, {"timestamp": 7}, None])
async def test_where_the_log_is_another_nothing_is_skipped(change):
    """Kafka has lost the end of the log, and other events stand where those stood that were delivered."""
    log = {} if change is None else {79: replace(LAST, **change)}
    found = (await left_behind(log).find(Group({A: 50}), [A]))[A]
    assert found == Beginning(50, "the group's committed offset")


async def test_an_end_before_what_was_delivered_is_waited_for_before_it_is_believed():
    now = 0.0
    group = Group({A: 50}, end=70)
    one = left_behind({79: LAST}, clock=lambda: now)
    with pytest.raises(KafkaError, match="ends before what was delivered"):
        await one.find(group, [A])
    now = PATIENCE_SECONDS + 1
    assert (await one.find(group, [A]))[A] == Beginning(50, "the group's committed offset")

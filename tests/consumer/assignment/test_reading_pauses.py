"""Partitions are read exactly while no cause of a pause is left."""

from hypothesis import given
from hypothesis import strategies as st

from consumer.assignment.reading_pauses import ReadingPauses
from relay.kafka import TopicPartition

A, B = TopicPartition("events", 0), TopicPartition("events", 1)
SECONDS = 10.0


class FakeConsumer:
    """Remembers which partitions are paused."""

    def __init__(self):
        self.paused = set()

    def pause(self, partitions):
        self.paused |= set(partitions)

    def resume(self, partitions):
        self.paused -= set(partitions)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("hold", "release", "hold for a route", "release for a route"),
                *("leave alone", "due", "full", "room"),
            ]
        ),
        st.sampled_from([A, B]),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_partition_is_read_exactly_while_nothing_pauses_it(steps):
    """Any order of a full buffer, corrupt batches and schema holds leaves a partition paused while one of them lasts."""
    consumer, now = FakeConsumer(), 0.0
    pauses = ReadingPauses(consumer, {A, B}, SECONDS)
    held, until, full = set(), {}, False
    for step, partition in steps:
        now += 4.0
        match step:
            case "hold":
                pauses.hold(partition, "schema")
                held.add((partition, "schema"))
            case "release":
                pauses.release(partition, "schema")
                held.discard((partition, "schema"))
            case "hold for a route":
                pauses.hold(partition, "route")
                held.add((partition, "route"))
            case "release for a route":
                pauses.release(partition, "route")
                held.discard((partition, "route"))
            case "leave alone":
                pauses.leave_alone(partition, now)
                until[partition] = now + SECONDS
            case "due":
                pauses.resume_due(now)
                until = {each: end for each, end in until.items() if end > now}
            case "full":
                pauses.pause_all()
                full = True
            case "room":
                pauses.resume_all()
                full = False
        assert consumer.paused == ({A, B} if full else {each for each, _ in held} | until.keys())


def test_a_partition_whose_start_is_not_known_is_not_resumed():
    """It stays paused from its assignment on, although nothing else pauses it."""
    consumer, started = FakeConsumer(), {A}
    consumer.pause([A, B])
    pauses = ReadingPauses(consumer, started, SECONDS)
    pauses.pause_all()
    pauses.resume_all()
    pauses.release(B, "schema")
    assert consumer.paused == {B}

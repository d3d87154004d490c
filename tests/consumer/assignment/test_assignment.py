"""Partitions that are revoked and come back, with a consumer group in memory that rejects commits on request."""

import asyncio

import pytest

from consumer.destinations.outcome import Retry
from relay.kafka import KafkaError, OffsetAndMetadata
from tests.support.fake_sentinel import FakeSentinel
from tests.support.in_memory_group import A, B, FakeGroup, FakeSchemaStore, assign, handler
from tests.support.waiting import wait_until


async def test_an_accepted_event_is_not_sent_again_though_its_commit_was_rejected():
    """Bodies in flight are answered while Kafka is away; the same process gets the partition back and knows it."""
    kafka, destination = FakeGroup(30), FakeSentinel()
    one = handler(kafka, destination)
    await assign(one, kafka)
    destination.answering.clear()
    await one.records(kafka.poll(20))
    await wait_until(lambda: destination.rows == 20)
    kafka.rejects_commits = True
    destination.answering.set()
    await one.revoked({A})
    assert kafka.committed_offset == 0

    kafka.rejects_commits = False
    await assign(one, kafka)
    assert kafka.committed_offset == 20
    assert kafka.next_offset == 19  # the last record is read again, for the epoch of its leader
    await one.records(kafka.poll(11))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.closed()
    assert destination.rows == 30


@pytest.mark.parametrize(("max_metadata", "resent"), [(4096, 0), (100, 60), (10, 80)])
async def test_another_consumer_sends_nothing_that_was_accepted_behind_a_body_that_waits(
    max_metadata, resent
):
    """While the destination throttles, bodies overtake each other; what is accepted is committed with the group's offset, as far as
    Kafka takes the metadata.
    """
    kafka, destination = FakeGroup(120), FakeSentinel()
    kafka.max_metadata = max_metadata
    destination.unanswered = {0, 30, 50, 51, 90}
    one = handler(kafka, destination, answer_seconds=0.05, retry_seconds=0.01)
    await assign(one, kafka)
    for number in range(12):
        await one.records(kafka.poll(10))
        await wait_until(lambda bodies=number + 1: len(destination.bodies) == bodies)
    await wait_until(lambda: len(destination.accepted) == 80)
    await one.revoked({A})
    assert kafka.committed_offset == 0

    destination.unanswered = set()
    another = handler(kafka, destination)
    await assign(another, kafka)
    await another.records(kafka.poll(120))
    await wait_until(lambda: kafka.committed_offset == 120)
    await another.closed()
    assert set(destination.accepted) == set(range(120))
    assert len(destination.accepted) - 120 == resent


async def test_an_operator_who_sets_the_group_back_is_obeyed():
    kafka, destination = FakeGroup(30), FakeSentinel()
    one = handler(kafka, destination)
    await assign(one, kafka)
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.revoked({A})
    kafka.stored = OffsetAndMetadata(10, "")

    await assign(one, kafka)
    assert (
        kafka.next_offset == 9
    )  # the record before it is read again, to see that the log is the same, and not sent
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.closed()
    assert destination.rows == 50


async def test_a_first_start_is_committed_before_anything_is_read():
    """A start at the end that nobody noted down would be at another end after a crash, and what came between skipped."""
    kafka, destination = FakeGroup(30, committed=None), FakeSentinel()
    one = handler(kafka, destination, "latest")
    kafka.rejects_commits = True
    one.assigned(kafka, {A})
    await wait_until(lambda: kafka.rejected_commits)
    assert not one.ready
    assert kafka.poll(1) == {A: []}
    kafka.rejects_commits = False
    await wait_until(lambda: one.ready)
    assert kafka.commits == [30]
    await one.closed()


async def test_delivered_events_are_committed_also_where_reading_has_failed_in_the_middle():
    """By then the position may have passed records that nobody was given; what was accepted before is no less accepted."""
    kafka, destination = FakeGroup(30), FakeSentinel()
    one = handler(kafka, destination)
    await assign(one, kafka)
    kafka.rejects_commits = True
    await one.records(kafka.poll(20))
    await wait_until(lambda: len(destination.accepted) == 20)
    kafka.rejects_commits, kafka.unreliable, kafka.next_offset = False, True, 30
    await one.closed()
    assert kafka.committed_offset == 20


async def test_so_much_may_be_delivered_and_not_committed_and_no_more():
    """A Kafka that takes no commits, but gives records, is no reason to send what a kill would repeat."""
    kafka, destination = FakeGroup(40), FakeSentinel(max_uncommitted=10)
    one = handler(kafka, destination, retry_seconds=0.05)
    await assign(one, kafka)
    kafka.rejects_commits = True
    for _ in range(2):
        await one.records(kafka.poll(20))
        await wait_until(lambda before=kafka.rejected_commits: kafka.rejected_commits > before + 2)
        assert destination.rows == 20
    kafka.rejects_commits = False
    await wait_until(lambda: destination.rows == 40 and kafka.committed_offset == 40)
    await one.closed()


async def test_events_that_arrive_while_the_destination_is_away_are_sent_together():
    """An event a second for some hours, each a request of its own, would be more than Azure takes in a minute."""

    class Away(FakeSentinel):
        away = True

        async def send(self, body):
            return Retry("away", 503) if self.away else await super().send(body)

    kafka, destination = FakeGroup(60), Away()
    one = handler(kafka, destination)
    await assign(one, kafka)
    for _ in range(59):
        await one.records(kafka.poll(1))
        await asyncio.sleep(0.02)
    destination.away = False
    await wait_until(lambda: kafka.committed_offset == 59)
    assert len(destination.bodies) <= 3
    await one.records(kafka.poll(1))
    await wait_until(lambda: kafka.committed_offset == 60)
    await one.closed()
    assert sorted(destination.accepted) == list(range(60))


async def test_nothing_is_read_while_a_stop_waits_for_an_answer():
    """The membership goes on meanwhile: there may be hours to read, which nobody would send."""
    kafka, destination = FakeGroup(1000), FakeSentinel()
    one = handler(kafka, destination)
    await assign(one, kafka)
    destination.answering.clear()
    await one.records(kafka.poll(20))
    await wait_until(lambda: destination.rows == 20)
    stopping = asyncio.create_task(one.stop(10))
    await wait_until(lambda: kafka.paused)
    for _ in range(5):
        await one.records(kafka.poll(20))
    assert kafka.next_offset == 20
    destination.answering.set()
    await stopping
    assert kafka.committed_offset == 20
    assert destination.rows == 20


async def test_a_partition_that_cannot_start_holds_up_no_other():
    """One has no leader, and a request that names it with others fails for all."""
    leaderless = {B}

    class Led(FakeGroup):
        async def first_offsets(self, partitions):
            if leaderless & set(partitions):
                raise TimeoutError("no leader")
            return await super().first_offsets(partitions)

    kafka, destination = Led(20), FakeSentinel()
    one = handler(kafka, destination, retry_seconds=0.02)
    one.assigned(kafka, {A, B})
    await wait_until(lambda: not kafka.paused)
    await one.records(kafka.poll(20))
    await wait_until(lambda: kafka.committed_offset == 20)
    assert not one.ready
    assert "partition 1, cannot be looked up: no leader" in one.waiting_reason
    leaderless.clear()
    await wait_until(lambda: one.ready)
    assert one.waiting_reason == "joining the group"
    await one.closed()


async def test_an_assignment_that_could_not_start_can_be_closed():
    """A rebalance right behind another takes the partitions away before they are looked at; the next one is served."""
    gone, kafka, destination = FakeGroup(10), FakeGroup(10), FakeSentinel()
    one = handler(kafka, destination)
    gone.seek = _not_ours
    with pytest.raises(KafkaError):
        one.assigned(gone, {A})
    await one.closed()
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: kafka.committed_offset == 10)
    await one.closed()


def _not_ours(partition, _offset):
    raise KafkaError(f"{partition} is not assigned")


async def test_a_pump_that_a_library_cancels_ends_the_membership():
    """It would send nothing for ever, while the process goes on reading and is ready."""

    class Cancelling(FakeSchemaStore):
        async def resolve(self, _ref):
            raise asyncio.CancelledError

    kafka = FakeGroup(10)
    one = handler(kafka, FakeSentinel(), schema_store=Cancelling())
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(one._running.done)
    with pytest.raises(RuntimeError, match="pump of events was cancelled"):
        await one.records({})
    await one.closed()

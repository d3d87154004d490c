"""Partitions that are revoked and come back, with a consumer group on paper that refuses commits when told."""

import asyncio

import orjson
import pytest
from prometheus_client import CollectorRegistry

from consumer.destinations.contract import BodyFormat, Limits
from consumer.destinations.outcome import Retry, Sent
from consumer.destinations.sentinel import rows as sentinel
from consumer.formats.encoded_rows import EncodedRows
from consumer.timing import Backoff
from relay.kafka import KafkaError, OffsetAndMetadata
from tests.support.group_on_paper import A, B, FakeGroup, assign, count, counters, handler
from tests.support.messages import Message
from tests.support.waiting import wait_until


class FakeDestination:
    address = "fake.example"
    config_hint = "Check the fake."

    def __init__(self, **limits):
        self.limits = Limits(sentinel.BODY_FORMAT, **limits)
        self.sent = []
        """Every body, in the order of the requests."""
        self.bodies = []
        self.accepted = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.unanswered = set()
        """Bodies with one of these rows are never answered."""

    def encode(self, events):
        return sentinel.encode_rows(events)

    def body(self, encoded):
        return sentinel.BODY_FORMAT.framed(encoded)

    async def send(self, body):
        self.sent.append(body)
        self.bodies.append(body.rows)
        await self.answering.wait()
        rows = [row["EventId"] for row in orjson.loads(body.content)]
        if self.unanswered & set(rows):
            await asyncio.Event().wait()
        self.accepted += rows
        return Sent()

    @property
    def rows(self):
        return sum(self.bodies)


async def test_what_was_accepted_is_not_sent_again_though_its_commit_was_refused():
    """Bodies in flight are answered while Kafka is away; the same process gets the partition back and knows it."""
    kafka, destination = FakeGroup(30), FakeDestination()
    one = handler(kafka, destination)
    await assign(one, kafka)
    destination.answering.clear()
    await one.records(kafka.poll(20))
    await wait_until(lambda: destination.rows == 20)
    kafka.refuses_commits = True
    destination.answering.set()
    await one.revoked({A})
    assert kafka.committed_offset == 0

    kafka.refuses_commits = False
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
    kafka, destination = FakeGroup(120), FakeDestination()
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
    kafka, destination = FakeGroup(30), FakeDestination()
    one = handler(kafka, destination)
    await assign(one, kafka)
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.revoked({A})
    kafka.stored = OffsetAndMetadata(10, "")

    await assign(one, kafka)
    assert kafka.next_offset == 10
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.closed()
    assert destination.rows == 50


async def test_a_first_start_is_committed_before_anything_is_read():
    """A start at the end that nobody noted down would be at another end after a crash, and what came between skipped."""
    kafka, destination = FakeGroup(30, committed=None), FakeDestination()
    one = handler(kafka, destination, "latest")
    kafka.refuses_commits = True
    one.assigned(kafka, {A})
    await wait_until(lambda: kafka.refused_commits)
    assert not one.ready
    assert kafka.poll(1) == {A: []}
    kafka.refuses_commits = False
    await wait_until(lambda: one.ready)
    assert kafka.commits == [30]
    await one.closed()


async def test_what_is_delivered_is_committed_also_where_reading_has_failed_in_the_middle():
    """By then the position may have passed records that nobody was given; what was accepted before is no less accepted."""
    kafka, destination = FakeGroup(30), FakeDestination()
    one = handler(kafka, destination)
    await assign(one, kafka)
    kafka.refuses_commits = True
    await one.records(kafka.poll(20))
    await wait_until(lambda: len(destination.accepted) == 20)
    kafka.refuses_commits, kafka.unreliable, kafka.next_offset = False, True, 30
    await one.closed()
    assert kafka.committed_offset == 20


async def test_so_much_may_be_delivered_and_not_committed_and_no_more():
    """A Kafka that takes no commits, but gives records, is no reason to send what a kill would repeat."""
    kafka, destination = FakeGroup(40), FakeDestination(max_uncommitted=10)
    one = handler(kafka, destination, retry_seconds=0.05)
    await assign(one, kafka)
    kafka.refuses_commits = True
    for _ in range(2):
        await one.records(kafka.poll(20))
        await wait_until(lambda before=kafka.refused_commits: kafka.refused_commits > before + 2)
        assert destination.rows == 20
    kafka.refuses_commits = False
    await wait_until(lambda: destination.rows == 40 and kafka.committed_offset == 40)
    await one.closed()


async def test_what_comes_while_the_destination_is_away_is_sent_together():
    """An event a second for some hours, each a request of its own, would be more than Azure takes in a minute."""

    class Away(FakeDestination):
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
    kafka, destination = FakeGroup(1000), FakeDestination()
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
    """One has no leader: whoever asks for it with others is told of none."""
    leaderless = {B}

    class Led(FakeGroup):
        async def first_offsets(self, partitions):
            if leaderless & set(partitions):
                raise TimeoutError("no leader")
            return await super().first_offsets(partitions)

    kafka, destination = Led(20), FakeDestination()
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
    gone, kafka, destination = FakeGroup(10), FakeGroup(10), FakeDestination()
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


async def test_skipped_events_are_delivered_at_once_and_counted():
    """A filter leaves every third event out: it is never sent, and holds no commit back."""
    kafka, destination, registry = FakeGroup(30), FakeDestination(), CollectorRegistry()
    kafka.log[7] = Message(b"garbage", b"key", 1, offset=7)
    one = handler(kafka, destination, select=lambda frame: frame["id"] % 3 != 0, registry=registry)
    await assign(one, kafka)
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.closed()
    assert sorted(destination.accepted) == [number for number in range(30) if number % 3 and number != 7]
    assert counters(registry) == (30, [19, 10, 1, 0])


async def test_a_batch_of_skipped_events_alone_is_committed():
    kafka, destination = FakeGroup(30), FakeDestination()
    one = handler(kafka, destination, select=lambda frame: frame["id"] < 0, idle_commit_interval_seconds=3600)
    await assign(one, kafka)
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.closed()
    assert destination.bodies == []


async def test_counters_add_up_over_a_revocation():
    """Records that were read and not delivered are released, and read again by the next owner."""
    kafka, destination, registry = FakeGroup(40), FakeDestination(), CollectorRegistry()
    one = handler(kafka, destination, registry=registry, answer_seconds=0.05)
    await assign(one, kafka)
    destination.unanswered = {5}
    for sent in (1, 2):
        await one.records(kafka.poll(10))
        await wait_until(lambda sent=sent: len(destination.bodies) == sent)
    await wait_until(lambda: len(destination.accepted) == 10)
    await one.records(kafka.poll(10))
    await one.revoked({A})
    assert counters(registry) == (30, [10, 0, 0, 20])
    destination.unanswered = set()
    await assign(one, kafka)
    await one.records(kafka.poll(40))
    await wait_until(lambda: kafka.committed_offset == 40)
    await one.closed()
    read, ends = counters(registry)
    assert (read, ends) == (30 + 30, [40, 0, 0, 20])


@pytest.mark.parametrize("broken", ["encode", "select"])
async def test_a_defect_before_the_request_is_named_and_loses_nothing(broken):
    """An encoder or a filter that fails is tried again; the membership goes on, and no event is skipped or dropped."""

    class Broken(FakeDestination):
        fails = True

        def encode(self, events):
            if self.fails and broken == "encode":
                raise TypeError("made up")
            return super().encode(events)

    kafka, destination, registry = FakeGroup(10), Broken(), CollectorRegistry()

    def select(frame):
        if destination.fails and broken == "select":
            raise TypeError("made up")
        return frame["id"] >= 0

    one = handler(
        kafka, destination, select=select, registry=registry, sender={"defect": Backoff(0.01, 0.01)}
    )
    state = one._pipeline.stream.state
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: state.problem is not None)
    assert "TypeError" in state.problem.reason
    await one.records({})
    destination.fails = False
    await wait_until(lambda: kafka.committed_offset == 10)
    assert state.problem is None
    assert sorted(destination.accepted) == list(range(10))
    assert count(registry, "delivery_defects") > 0
    await one.closed()


async def test_a_row_that_fits_into_no_body_becomes_a_dead_letter_alone():
    """An encoder that breaks its limit for one event costs that event alone."""
    kafka, destination = FakeGroup(10), FakeDestination()
    small = BodyFormat(200, b"[", b",", b"]")
    destination.limits = Limits(small)
    destination.encode = lambda frame: EncodedRows.of(
        [b'{"EventId":%d,"x":"%s"}' % (n, b"x" * (300 if n == 4 else 5)) for n in frame["id"]], b","
    )
    one = handler(kafka, destination)
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: kafka.committed_offset == 10)
    await one.closed()
    assert sorted(destination.accepted) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    ((offset, reason, _),) = one._pipeline.stream.dead_letters.put_records
    assert (offset, "fits into no body of 200" in reason) == (4, True)


async def test_a_destination_may_want_bodies_of_one_partition():
    """Its bodies are named by partition and first offset; each partition waits for its own linger."""

    class Two(FakeGroup):
        def poll_both(self):
            b = [
                Message(each.value, each.key, each.timestamp, partition=1, offset=each.offset)
                for each in self.log
            ]
            return {A: self.log, B: b}

    kafka, destination = Two(20), FakeDestination(single_partition=True, linger_seconds=0.05)
    one = handler(kafka, destination, linger=0.05)
    one.assigned(kafka, {A, B})
    await wait_until(lambda: one.ready)
    await one.records(kafka.poll_both())
    await wait_until(lambda: len(destination.accepted) == 40)
    await one.closed()
    ranges = [each for body in destination.sent for each in body.offsets]
    assert sorted((each.partition, each.first, each.last) for each in ranges) == [(0, 0, 19), (1, 0, 19)]

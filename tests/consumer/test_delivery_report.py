"""What a process reports on its delivery to one destination, and what readers make of the reports of all processes."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from consumer.delivery_report import report_delivery
from consumer.destinations.outcome import (
    Partial,
    Paused,
    Reject,
    Retry,
    Sent,
    Split,
    Unconfirmed,
    repeat_reason,
)
from consumer.running_pipelines import RunningDestination
from consumer.timing import BackoffCurve, BreakerTiming, ConsumerServiceTiming, ConsumerTiming
from relay.avro.codec import InternalCodec
from relay.kafka import KafkaError
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.status.model import DeliveryReport, RecentEvents, RetriedRequest, from_record, to_record
from relay.status.reader import read_statuses
from relay.status.slots import SLOT_MS
from simulators.azure import faults
from tests.consumer.test_status_reporter import running_pipeline
from tests.support.in_memory_group import A
from tests.support.pipeline_world import pipeline_world, some_events
from tests.support.views import NOW, status


class Waiting:
    """A handler whose oldest event is `oldest`; an exception is raised. `read`: the oldest one that was read then."""

    def __init__(self, oldest=None, read=None):
        self.oldest = oldest
        self.read = read

    def oldest_ms(self):
        return self.read

    async def waiting_since(self):
        if isinstance(self.oldest, Exception):
            raise self.oldest
        if self.oldest == "never":
            await asyncio.Event().wait()
        return self.oldest


async def flow(name="live", oldest=None, read=None, **fields):
    made = replace(running_pipeline(name), handler=Waiting(oldest, read), **fields)
    await made.coverage.refresh()
    return made


async def report(*pipelines, seconds=5):
    return await report_delivery("soc", RunningDestination(pipelines), NOW, seconds)


@pytest.mark.parametrize(
    ("live", "history", "oldest"),
    [(None, None, None), (7, None, 7), (None, 5, 5), (7, 5, 5)],
)
async def test_the_oldest_event_is_that_of_all_flows_but_older_ones(live, history, oldest):
    """Older events waited before the destination began, so their age says nothing."""
    older = await flow("older", 1)
    running = RunningDestination(
        [await flow("live", live), await flow("history", history), older], SimpleNamespace(phase="delivering")
    )
    found = await report_delivery("soc", running, NOW, 5)
    assert found == DeliveryReport("soc", NOW, known=True, oldest=oldest)


@pytest.mark.parametrize(
    "oldest",
    [TimeoutError("not a member"), KafkaError("it is away"), "never"],
    ids=["no member", "Kafka is away", "no answer"],
)
async def test_what_one_flow_does_not_know_is_unknown_for_all(oldest):
    """An age of 0 would be good news that nobody has."""
    seconds = 0.01 if oldest == "never" else 5
    found = await report(await flow("live", 7), await flow("history", oldest), seconds=seconds)
    assert (found.known, found.oldest) == (False, None)


async def test_the_oldest_event_that_was_read_is_reported_where_older_ones_may_wait():
    """An operator then knows how long events have waited at least."""
    flows = await flow(oldest=TimeoutError("unread"), read=7), await flow("history", 3, read=5)
    found = await report(*flows)
    assert (found.known, found.oldest) == (False, 5)


async def test_unread_partitions_and_a_doubtful_membership_are_unknown():
    """Behind a corrupt batch, in a partition that nobody reads, and where Kafka does not confirm the membership, events may wait."""
    corrupt, unread, doubtful = await flow(), await flow(), await flow()
    corrupt.flow.state.batch_corrupt(A, "a batch cannot be read")
    unread.coverage.forget()
    doubtful.member.valid = False
    for each in (corrupt, unread, doubtful):
        assert (await report(each)).known is False


@pytest.mark.parametrize("problem", [None, "another target"])
async def test_a_paused_destination_is_unknown_and_one_of_another_target_is_left_to_others(problem):
    guard = SimpleNamespace(problem=problem, pause="ann@host paused it.")
    found = await report(await flow(oldest=TimeoutError("not a member"), guard=guard))
    assert (found is None) if problem else (found.known is False)


async def test_retries_of_all_flows_are_counted_with_the_last_reason():
    live, history = await flow(), await flow("history")
    live.flow.state.request_repeated(NOW + 2, "busy")
    history.flow.state.request_repeated(NOW + 1, "away")
    found = await report(live, history)
    assert (found.retries, found.last_retry) == (2, RetriedRequest(NOW + 2, "busy"))


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Sent(), None),
        (Unconfirmed(lambda: None, 1), None),
        (Retry("busy"), "busy"),
        (Paused("no key"), "no key"),
        (Split("large"), "large"),
        (Reject("bad"), "bad"),
        (Partial(retry=frozenset([1]), reason="some"), "some"),
        (Partial({0: "a", 1: "b"}, reason="all"), "all"),
        (Partial({0: "a"}), None),
    ],
)
def test_a_repeat_has_the_reason_of_its_outcome(outcome, reason):
    """A body of two rows: rejected rows beside an accepted one are dead letters, and not sent again."""
    assert repeat_reason(outcome, 2) == reason


def test_deliveries_survive_the_status_topic():
    codec = InternalCodec("status")
    deliveries = (
        DeliveryReport("a", NOW, known=True, oldest=NOW, retries=3, last_retry=RetriedRequest(NOW, "x")),
    )
    deliveries += (DeliveryReport("b", NOW, known=False),)
    deliveries += (DeliveryReport("c", NOW, known=True, recent=RecentEvents(7, 1)),)
    sent = status(deliveries=deliveries).with_slot(NOW, lag=3).with_slot(NOW - SLOT_MS, age=0)
    sent = sent.with_counts(NOW, events=2, retries=1)
    assert from_record(codec.decode(codec.encode(to_record(sent)))) == sent


class Positions:
    """A member that has fetched partition A up to `end`, and read up to `position`."""

    def __init__(self, position, end):
        self.at, self.end = position, end

    async def position(self, _partition):
        return self.at

    def last_stable_offset(self, _partition):
        return self.end

    def last_poll_timestamp(self, _partition):
        return NOW


@pytest.mark.parametrize(
    ("position", "end", "read_all_at"), [(5, 5, NOW), (6, 5, NOW), (4, 5, None), (0, None, None)]
)
async def test_a_partition_is_read_once_it_was_fetched_to_its_end(position, end, read_all_at):
    assert await BoundedConsumer(Positions(position, end)).read_all_at(A) == read_all_at


async def test_a_dead_destination_shows_the_age_of_its_oldest_event_and_its_retries(
    kafka, prefix, monkeypatch
):
    """The process reports when the oldest event was collected while Azure fails, and that none waits once it is healed."""
    timing = ConsumerTiming(
        service=ConsumerServiceTiming(heartbeat_seconds=0.2),
        breaker=BreakerTiming(BackoffCurve(0.2, 1.0)),  # a slow machine repeats for long before it heals
    )
    async with pipeline_world(kafka, prefix, monkeypatch) as world:

        async def wait_for_delivery(condition):
            async with asyncio.timeout(90):
                while True:
                    statuses = await read_statuses(world.connection, world.topics.status)
                    found = [
                        each
                        for key, one in statuses.items()
                        if key.startswith("consume/")
                        for each in one.deliveries
                    ]
                    if found and condition(found[0]):
                        return found[0]
                    await asyncio.sleep(0.2)

        world.azure.fault(faults.unavailable(503), rate=1.0)
        await world.publish(some_events(20))
        oldest = min(each["collected"] for each in world.published)
        async with world.consuming(timing=timing):
            waiting = await wait_for_delivery(
                lambda each: each.known and each.oldest == oldest and each.retries > 0
            )
            assert (waiting.destination, waiting.known) == ("sentinel", True)
            assert "503" in waiting.last_retry.reason
            world.azure.clear_faults()
            await world.wait_for_events()
            await wait_for_delivery(lambda each: each.known and each.oldest is None)

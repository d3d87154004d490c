"""Since when the oldest event waits: an age that is not known must not be shown as good news."""

from dataclasses import replace

import pytest

from consumer.assignment.assignment import FETCHED_MS
from consumer.destinations.azure_ingestion.body import BODY_FORMAT
from consumer.timing import BackoffCurve
from relay.timestamps import now_ms
from tests.support.fake_sentinel import FakeSentinel
from tests.support.in_memory_group import A, B, FakeGroup, assign, handler
from tests.support.messages import AN_HOUR_AGO, event, message
from tests.support.waiting import wait_until

OLD = AN_HOUR_AGO


class Fetched(FakeGroup):
    """Partition A was read at `read_all_at` to the end that its last fetch showed; B likewise, which never has an event."""

    def __init__(self, count, read_all_at=0, of_b=0):
        super().__init__(count)
        self.ages = {A: read_all_at, B: of_b}

    async def read_all_at(self, partition):
        age = self.ages[partition]
        return None if age is None else now_ms() - age


async def reading(kafka, destination, partitions=(A,), **fields):
    """Return a handler that has read the whole log of A."""
    one = handler(kafka, destination, **fields)
    if partitions == (A,):
        await assign(one, kafka)
    else:
        one.assigned(kafka, set(partitions))
        await wait_until(lambda: one.ready)
    await one.records(kafka.poll(100))
    return one


@pytest.mark.parametrize(
    ("ages", "known"),
    [
        ((0, 0), True),
        ((None, 0), False),
        ((0, None), False),
        ((0, 2 * FETCHED_MS), False),
        ((0, -2 * FETCHED_MS), False),
    ],
    ids=["read", "unread", "one unread", "a broker is away", "the clock was set back"],
)
async def test_that_none_waits_is_known_by_a_fetch_of_each_partition(ages, known):
    """A partition whose broker does not answer is at the end of the last fetch, and that says nothing of what came later."""
    one = await reading(Fetched(0, *ages), FakeSentinel(), (A, B))
    try:
        if known:
            assert await one.waiting_since() is None
        else:
            with pytest.raises(TimeoutError):
                await one.waiting_since()
    finally:
        await one.closed()


@pytest.mark.parametrize(
    ("unread", "known"), [(0, True), (None, False), (40 * FETCHED_MS, False), (FETCHED_MS + 5_000, True)]
)
async def test_an_event_that_waits_says_nothing_of_a_partition_that_is_not_read(unread, known):
    """Events of B may have waited for hours. What came after its last fetch is younger than an older event of A, though."""
    kafka, destination = Fetched(0, None, unread), FakeSentinel()
    oldest = now_ms() - 2 * FETCHED_MS
    kafka.log = [message(event(number, collected=oldest + number), offset=number) for number in range(3)]
    destination.answering.clear()
    one = await reading(kafka, destination, (A, B))
    try:
        if known:
            assert await one.waiting_since() == oldest
        else:
            with pytest.raises(TimeoutError):
                await one.waiting_since()
        assert one.oldest_ms() == oldest
    finally:
        destination.answering.set()
        await one.closed()


async def test_events_that_cannot_be_encoded_wait():
    """They are in no buffer and in no body while a defect is tried again, for hours perhaps."""

    class Broken(FakeSentinel):
        def encode(self, _events):
            raise TypeError("made up")

    kafka = Fetched(3)
    one = await reading(kafka, Broken(), sender={"defect": BackoffCurve(30, 30)})
    await wait_until(lambda: one._pipeline.flow.state.problem is not None)
    assert await one.waiting_since() == kafka.log[0].timestamp
    await one.closed()


async def test_events_that_wait_for_room_in_delivery_are_counted_until_they_are_delivered():
    """The rest of what was read with a body is in no body yet, and may be of a partition with older events."""
    kafka, destination = Fetched(0), FakeSentinel(in_flight_bodies=1)
    destination.limits = replace(destination.limits, format=replace(BODY_FORMAT, max_rows=1))
    destination.answering.clear()
    one = handler(kafka, destination)
    one.assigned(kafka, {A, B})
    await wait_until(lambda: one.ready)
    young, old = (message(event(number, collected=OLD + 900 * number), offset=0) for number in (9, 1))
    await one.records({A: [young], B: [replace(old, partition=1)]})
    await wait_until(lambda: destination.sent)
    assert await one.waiting_since() == OLD + 900
    destination.answering.set()
    await wait_until(lambda: len(destination.accepted) == 2)
    await wait_until(lambda: one.oldest_ms() is None)
    assert await one.waiting_since() is None
    await one.closed()

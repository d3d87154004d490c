"""How reading waits for room in the buffer, and goes on."""

import asyncio
import time

from consumer.timing import BufferLimits
from tests.support.fake_sentinel import FakeSentinel
from tests.support.in_memory_group import FakeGroup, assign, handler


def handler_with_little_room(kafka, capacity_wait_seconds):
    """Return a handler whose buffer some of the records of a poll fill, and whose rows stay in it."""
    buffers = BufferLimits(record_buffer_bytes=300)
    return handler(
        kafka, FakeSentinel(), linger=3600, capacity_wait_seconds=capacity_wait_seconds, buffers=buffers
    )


async def test_room_that_comes_as_the_wait_for_it_ends_does_not_stop_reading():
    """The wait ends and the pump empties the buffer in one turn of the loop: nothing would resume a pause that came after that."""
    kafka = FakeGroup(30)
    one = handler_with_little_room(kafka, 0.05)
    await assign(one, kafka)
    feeding = asyncio.create_task(one.records(kafka.poll(10)))
    await asyncio.sleep(0.01)

    def free():
        one._assignment._buffer.take(4_000_000)
        one._assignment._on_space_freed()

    asyncio.get_running_loop().call_soon(free)
    time.sleep(0.06)  # noqa: ASYNC251 - so that both are due in the next turn
    await feeding
    assert not kafka.paused
    await one.closed()


async def test_reading_pauses_while_the_buffer_is_full_and_resumes_with_room():
    kafka = FakeGroup(30)
    one = handler_with_little_room(kafka, 0.01)
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    assert kafka.paused
    one._assignment._buffer.take(4_000_000)
    one._assignment._on_space_freed()
    assert not kafka.paused
    await one.closed()


async def test_a_wait_for_room_ends_with_its_assignment():
    """A rebalance returns partitions while polling waits: polling goes on at once, and no pause of the former assignment holds them."""
    kafka = FakeGroup(30)
    one = handler_with_little_room(kafka, 3600)
    await assign(one, kafka)
    feeding = asyncio.create_task(one.records(kafka.poll(10)))
    await asyncio.sleep(0.01)
    assert not feeding.done()

    await one.closed()
    await assign(one, kafka)
    await asyncio.wait_for(feeding, 60)

    assert not kafka.paused
    await one.closed()

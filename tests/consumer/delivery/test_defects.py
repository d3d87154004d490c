"""Code of a destination that breaks its contract: nothing is lost, and the defect has a name."""

import asyncio
import zlib

import pytest

from consumer.delivery.sender import Sender
from consumer.destinations.contract import Limits
from consumer.timing import BreakerTiming
from relay.aio import Signal
from tests.support.dead_letters import FakeDeadLetterWriter
from tests.support.delivery import LIMITS, QUICK, FakeDestination, sender_fixture
from tests.support.pipeline_world import wait_until


@pytest.mark.parametrize("step", ["body", "send"])
async def test_a_defect_is_named_and_tried_again(step):
    """An exception out of a destination's code ends no membership, drops no row, and is over when the code works."""

    class Broken(FakeDestination):
        broken = True

        def body(self, encoded):
            if self.broken and step == "body":
                raise KeyError("made up")
            return super().body(encoded)

        async def send(self, body):
            if self.broken and step == "send":
                raise zlib.error("made up")
            return await super().send(body)

    destination = Broken()
    timing = {"defect": QUICK, "breaker": BreakerTiming(QUICK, QUICK)}
    async with sender_fixture(destination, **timing) as fixture:
        fixture.sender.start(fixture.rows(2))
        name = {"body": "KeyError", "send": "error: made up"}[step]
        await wait_until(lambda: fixture.problem is not None and name in fixture.problem.reason)
        assert fixture.sender.defect is None
        destination.broken = False
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.problem is None
        assert destination.accepted == [b"0", b"1"]


async def test_a_request_that_does_not_end_is_given_up():
    """The contract says that `send` ends within its timeout; the sender does not rely on it."""
    destination = FakeDestination(limits=Limits(LIMITS.format, request_timeout_seconds=0.05))
    destination.answering.clear()
    timing = {"request_grace_seconds": 0.05, "breaker": BreakerTiming(QUICK, QUICK)}
    async with sender_fixture(destination, **timing) as fixture:
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: len(destination.requests) > 1)
        destination.answering.set()
        assert await fixture.sender.wait_until_finished(60)


async def test_a_cancellation_from_within_a_client_is_no_end_of_the_delivery():
    """A library that cancels its own call must not look like a revocation."""

    class Cancelling(FakeDestination):
        async def send(self, body):
            if not self.requests:
                self.requests.append([])
                raise asyncio.CancelledError
            return await super().send(body)

    async with sender_fixture(Cancelling(), breaker=BreakerTiming(QUICK, QUICK)) as fixture:
        fixture.sender.start(fixture.rows(1))
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.committable() == 1


async def test_a_cancellation_from_within_kafka_is_a_failed_dead_letter_write():
    class Cancelling(FakeDeadLetterWriter):
        cancelled = False

        async def put(self, record, reason, status=None):
            if not self.cancelled:
                self.cancelled = True
                raise asyncio.CancelledError
            await super().put(record, reason, status)

    writer = Cancelling()
    async with sender_fixture(FakeDestination(), writer, dead_letter=QUICK) as fixture:
        fixture.sender.dead_letter(fixture.rows(2).tracked, ["bad", "bad"])
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.committable() == 2
        assert sorted(offset for offset, *_ in writer.put_records) == [0, 1]


async def test_a_delivery_that_a_library_cancels_is_a_defect():
    """Its rows would stay undelivered for ever, since nothing sends them again."""

    async def cancel():
        raise asyncio.CancelledError

    async with sender_fixture(FakeDestination()) as fixture:
        sender = Sender(fixture.flow, fixture.tracker.mark_delivered, cancel, Signal())
        sender.start(fixture.rows(1))
        await wait_until(lambda: sender.defect is not None)
        assert "was cancelled" in str(sender.defect)
        await sender.close(0)

"""Bodies that the destination takes first, and confirms later or never."""

import asyncio

from consumer.destinations.contract import BodyFormat, Limits
from consumer.destinations.outcome import Partial, Retry, Sent, Unconfirmed
from consumer.timing import BackoffCurve, BreakerTiming
from tests.support.delivery import QUICK, FakeDestination, feed_until, sender_fixture
from tests.support.waiting import wait_until


class Later(FakeDestination):
    """Takes each body, and confirms it with the next of `confirmations`; Sent when there is none."""

    def __init__(self, *confirmations, **options):
        super().__init__(self.take, **options)
        self.confirmations = list(confirmations)
        self.confirming = asyncio.Event()
        self.confirming.set()

    def take(self, rows):
        async def confirm():
            await self.confirming.wait()
            outcome = self.confirmations.pop(0) if self.confirmations else Sent()
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome == Sent():
                self.accepted += rows
            return outcome

        return Unconfirmed(confirm, 5.0, 200)


async def test_rows_are_delivered_only_when_they_are_confirmed():
    destination = Later()
    destination.confirming.clear()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(3))
        await wait_until(lambda: destination.requests)
        assert fixture.committable() == 0
        assert (fixture.count("events_accepted"), fixture.flow.state.accepted) == (0, 0)
        destination.confirming.set()
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.committable() == 3
        assert (fixture.count("events_accepted"), fixture.flow.state.accepted) == (3, 3)
        assert fixture.count("requests", status="2xx") == 1
        assert fixture.count("events_unconfirmed") == 0
        assert fixture.problem is None


async def test_rows_that_are_not_confirmed_are_sent_again_and_counted():
    """The same rows go again after a wait, the status names it meanwhile, and the repeat is counted."""
    destination = Later(Retry("not indexed"), Retry("not indexed"))
    take, problems = destination.answer, []
    async with sender_fixture(destination, confirmation=QUICK) as fixture:
        destination.answer = lambda rows: problems.append(fixture.problem) or take(rows)
        fixture.sender.start(fixture.rows(2))
        assert await fixture.sender.wait_until_finished(60)
        assert problems == [None, Retry("not indexed"), Retry("not indexed")]
        assert destination.requests == [[b"0", b"1"]] * 3
        assert destination.accepted == [b"0", b"1"]
        assert fixture.count("events_unconfirmed") == 4
        assert fixture.count("retries", reason="retry") == 2
        assert fixture.count("events_accepted") == 2
        assert fixture.committable() == 2
        assert fixture.problem is None


async def test_a_confirmation_that_fails_or_never_ends_is_none():
    """A defect within the client, or a wait without an end, costs no event and ends no delivery."""
    destination = Later(TypeError("made up"), asyncio.CancelledError())
    async with sender_fixture(destination, confirmation=QUICK, request_grace_seconds=0.1) as fixture:
        fixture.sender.start(fixture.rows(1))
        assert await fixture.sender.wait_until_finished(60)
        assert len(destination.requests) == 3
        assert fixture.sender.defect is None
        answer = destination.answer

        def endless(_rows):
            destination.answer = answer
            return Unconfirmed(asyncio.Event().wait, 0.05)

        destination.answer = endless
        fixture.sender.start(fixture.rows(1))
        assert await fixture.sender.wait_until_finished(60)
        assert destination.accepted == [b"0", b"1"]


async def test_bodies_that_wait_for_confirmation_take_no_slot_but_memory():
    """Requests go on meanwhile, up to the bytes that may be in flight."""
    limits = Limits(BodyFormat(1_000_000, b"[", b",", b"]"), in_flight_bodies=1, in_flight_bytes=3_500)
    destination = Later(limits=limits)
    destination.confirming.clear()
    async with sender_fixture(destination) as fixture:
        for started in range(1, 5):
            await fixture.sender.wait_for_capacity()
            fixture.sender.start(fixture.rows(2))
            await wait_until(lambda started=started: len(destination.requests) == started)
        waiting = asyncio.create_task(fixture.sender.wait_for_capacity())
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        destination.confirming.set()
        await asyncio.wait_for(waiting, 120)
        assert await fixture.sender.wait_until_finished(60)


async def test_a_stop_does_not_wait_for_a_confirmation():
    """What is not confirmed is the next owner's, and no problem of this one stays in the status."""
    destination = Later(Retry("lost"))
    async with sender_fixture(destination, confirmation=BackoffCurve(3600, 3600)) as fixture:
        fixture.sender.start(fixture.rows(2))
        await wait_until(lambda: fixture.problem is not None)
        await asyncio.wait_for(fixture.sender.close(3600), 120)
        assert fixture.committable() == 0
        assert fixture.problem is None


async def test_a_body_that_was_taken_is_evidence_against_a_rejected_row():
    """The destination judges a body when it takes it; the confirmation says only that its disk has it."""
    destination = Later()
    take = destination.answer
    destination.confirming.clear()
    bad = Partial({0: "bad"}, frozenset(), status=400)
    destination.answer = lambda rows: bad if rows == [b"0"] else take(rows)
    async with sender_fixture(destination, rejection=QUICK) as fixture:
        fixture.sender.start(fixture.rows(1))
        await feed_until(fixture, lambda: bool(fixture.dead_letters.put_records))
        assert [offset for offset, *_ in fixture.dead_letters.put_records] == [0]
        destination.confirming.set()
        assert await fixture.sender.wait_until_finished(60)


async def test_rows_that_the_destination_did_not_look_at_are_sent_at_once():
    """It stopped at a bad row: nothing is wrong with it, so no request waits and the status names no problem."""
    destination = FakeDestination()
    slow = BreakerTiming(BackoffCurve(3600, 3600), BackoffCurve(3600, 3600))

    def judge(rows):
        bad = [place for place, row in enumerate(rows) if int(row) % 3 == 1]
        if not bad:
            return Sent()
        return Partial({bad[0]: "bad"}, frozenset(range(bad[0] + 1, len(rows))), status=400, unprocessed=True)

    destination.answer = judge
    async with sender_fixture(destination, breaker=slow) as fixture:
        fixture.sender.start(fixture.rows(9))
        assert await fixture.sender.wait_until_finished(60)
        assert destination.accepted == [b"0", b"2", b"3", b"5", b"6", b"8"]
        assert sorted(offset for offset, *_ in fixture.dead_letters.put_records) == [1, 4, 7]
        assert fixture.committable() == 9
        assert fixture.problem is None

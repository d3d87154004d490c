import asyncio
import time

import pytest

from consumer.destinations.contract import Limits
from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split
from consumer.timing import BackoffCurve
from tests.support.dead_letters import FakeDeadLetterWriter
from tests.support.delivery import LIMITS, QUICK, FakeDestination, feed_until, sender_fixture
from tests.support.pipeline_world import wait_until


async def test_bodies_in_flight_together_are_delivered_in_any_order():
    """The second body is answered while the first is not: nothing is committable until the first one is."""
    destination = FakeDestination()
    destination.held[b"0"] = asyncio.Event()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(3))
        fixture.sender.start(fixture.rows(2))
        assert fixture.sender.bytes > len("[0,1,2]") + len("[3,4]")
        await wait_until(lambda: destination.accepted == [b"3", b"4"])
        await wait_until(lambda: fixture.tracker.delivered_count() == 2)
        assert fixture.committable() == 0
        destination.held[b"0"].set()
        assert await fixture.sender.wait_until_finished(60)
        assert destination.accepted == [b"3", b"4", b"0", b"1", b"2"]
        assert fixture.committable() == 5
        assert fixture.sender.bytes == 0


async def test_a_body_that_fails_transiently_is_sent_again_until_it_is_accepted():
    answers = iter([Retry("busy", 429, after=0.0), Retry("reset"), Sent()])
    destination = FakeDestination(lambda _rows: next(answers))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(2))
        await wait_until(lambda: fixture.problem is not None)
        assert fixture.committable() == 0
        assert await fixture.sender.wait_until_finished(60)
        assert destination.requests == [[b"0", b"1"]] * 3
        assert fixture.problem is None


async def test_a_body_that_is_too_large_is_halved():
    destination = FakeDestination(lambda rows: Sent() if len(rows) <= 2 else Split("413", 413))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(7))
        assert await fixture.sender.wait_until_finished(60)
        assert sorted(destination.accepted) == [b"%d" % number for number in range(7)]
        assert fixture.dead_letters.put_records == []


async def test_a_dead_letter_counts_only_when_it_is_written():
    destination = FakeDestination(lambda rows: Reject("400", 400) if b"1" in rows else Sent())
    async with sender_fixture(destination, FakeDeadLetterWriter(failures=1)) as fixture:
        fixture.sender.start(fixture.rows(3))
        await wait_until(lambda: fixture.dead_letters.failures == 0)
        assert fixture.committable() <= 1
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.committable() == 3
        assert fixture.dead_letters.put_records == [(1, "400", 400)]


async def test_while_dead_letters_cannot_be_written_the_destination_says_so():
    """A dead-letter topic that rejects writes holds up its records until an operator knows of it."""
    writer = FakeDeadLetterWriter(failures=10**9)
    async with sender_fixture(FakeDestination(), writer, dead_letter=QUICK) as fixture:
        fixture.sender.dead_letter(fixture.rows(1).tracked, ["not Avro"])
        await wait_until(lambda: fixture.problem is not None)
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: fixture.flow.state.accepted)
        assert isinstance(fixture.problem, Paused)
        assert "Kafka is away" in fixture.problem.reason
        fixture.dead_letters.failures = 0
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.problem is None


async def test_a_dead_letter_that_cannot_be_written_holds_no_other_body_up():
    destination = FakeDestination(lambda rows: Reject("400", 400) if {b"1", b"5"} & set(rows) else Sent())
    async with sender_fixture(destination, FakeDeadLetterWriter(failures=10**9)) as fixture:
        fixture.sender.start(fixture.rows(3))
        await wait_until(lambda: fixture.problem)
        fixture.sender.start(fixture.rows(4))
        await wait_until(lambda: len(destination.accepted) == 5)
        fixture.dead_letters.failures = 0
        assert await fixture.sender.wait_until_finished(60)
        assert sorted(fixture.dead_letters.put_records) == [(1, "400", 400), (5, "400", 400)]
        assert fixture.committable() == 7


async def test_dead_letters_that_another_owner_has_to_write_are_no_problem_here():
    async with sender_fixture(FakeDestination(), FakeDeadLetterWriter(failures=10**9)) as fixture:
        fixture.sender.dead_letter(fixture.rows(1).tracked, ["not Avro"])
        await wait_until(lambda: fixture.problem is not None)
        await fixture.sender.close(60)
        assert fixture.problem is None


@pytest.mark.parametrize("end", ["accepted", "closed"])
async def test_a_flow_that_rejects_everything_has_a_problem_until_it_accepts(end):
    """Also while it is tried again, or the status would tell every half minute that all is well."""
    rejects = True
    destination = FakeDestination(lambda _rows: Reject("no column fits", 400) if rejects else Sent())
    async with sender_fixture(destination, rejection=QUICK) as fixture:
        fixture.sender.start(fixture.rows(50))
        await wait_until(lambda: fixture.problem is not None)
        for _ in range(100):
            destination.answering.clear()
            requests_before = len(destination.requests)
            await wait_until(
                lambda requests_before=requests_before: len(destination.requests) > requests_before
            )
            assert isinstance(fixture.problem, Paused)
            assert "no column fits" in fixture.problem.reason
            destination.answering.set()
        rejects = False
        if end == "accepted":
            assert await fixture.sender.wait_until_finished(60)
            assert fixture.committable() == 50
        else:
            await fixture.sender.close(0)
        assert fixture.problem is None


async def test_however_many_bodies_are_rejected_they_try_again_no_more_often():
    """An event a second, for hours in which nothing is accepted: to try again is one body's turn, and then another's."""
    rejects = True
    destination = FakeDestination(lambda _rows: Reject("400", 400) if rejects else Sent())
    async with sender_fixture(destination, rejection=BackoffCurve(0.05, 0.05)) as fixture:
        for _ in range(50):
            fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: len(fixture.flow.routes.of(None)._suspected) == 50)
        began, before = time.monotonic(), len(destination.requests)
        await wait_until(lambda: len(destination.requests) > before + 20)
        turns = (time.monotonic() - began) / 0.025  # the shortest wait of this curve
        assert len(destination.requests) - before < 5 + 2 * turns
        rejects = False
        assert await fixture.sender.wait_until_finished(60)


async def test_once_something_is_accepted_no_body_waits_for_the_turn_of_another():
    """Of those before it each may be rejected for ever."""
    bad = {b"%d" % number for number in range(60)}
    destination = FakeDestination(lambda rows: Reject("400", 400) if bad & set(rows) else Sent())
    async with sender_fixture(destination, rejection=BackoffCurve(1, 1)) as fixture:
        for _ in range(60):
            fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: len(fixture.flow.routes.of(None)._suspected) == 60)
        bad.remove(b"59")
        fixture.sender.start(fixture.rows(1))
        # Each in its turn would wait half a second or more: half a minute for all.
        await wait_until(lambda: destination.accepted == [b"60", b"59"], 20)


async def test_unreadable_records_become_dead_letters_of_their_own():
    async with sender_fixture(FakeDestination()) as fixture:
        fixture.sender.dead_letter(fixture.rows(2).tracked, ["not Avro", "too short"])
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.dead_letters.put_records == [(0, "not Avro", None), (1, "too short", None)]
        assert fixture.committable() == 2


async def test_many_dead_letters_are_written_together_and_each_until_it_is():
    async with sender_fixture(FakeDestination(), FakeDeadLetterWriter(failures=70)) as fixture:
        fixture.sender.dead_letter(fixture.rows(350).tracked, ["not Avro"] * 350)
        assert await fixture.sender.wait_until_finished(60)
        assert sorted(offset for offset, *_ in fixture.dead_letters.put_records) == list(range(350))
        assert fixture.committable() == 350


async def test_after_the_end_no_request_starts_and_an_answer_still_counts():
    destination = FakeDestination()
    destination.answering.clear()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(2))
        await wait_until(lambda: destination.requests)
        fixture.sender.stop_accepting()
        fixture.sender.start(fixture.rows(2))
        closing = asyncio.create_task(fixture.sender.close(60))
        await asyncio.sleep(0.05)
        destination.answering.set()
        await closing

        assert destination.requests == [[b"0", b"1"]]
        assert fixture.committable() == 2


async def test_after_the_end_nothing_is_tried_again():
    destination = FakeDestination(lambda _rows: Retry("busy", 429))
    destination.answering.clear()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(2))
        await wait_until(lambda: destination.requests)
        fixture.sender.stop_accepting()
        destination.answering.set()
        await fixture.sender.close(60)
        assert len(destination.requests) == 1
        assert fixture.committable() == 0


async def test_a_waiting_body_ends_at_once_and_a_request_in_time():
    destination = FakeDestination(lambda _rows: Paused("no role", 403))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: isinstance(fixture.problem, Paused))
        destination.answering.clear()
        async with asyncio.timeout(30):
            await fixture.sender.close(60)
        assert fixture.committable() == 0


async def test_the_permit_of_a_probe_that_was_given_up_is_taken_by_the_next_assignment():
    answers = iter([Retry("busy", 429, after=0.0)])
    destination = FakeDestination(lambda _rows: next(answers, Sent()))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: fixture.problem)
        destination.answering.clear()
        await wait_until(lambda: len(destination.requests) == 2)
        await fixture.sender.close(0)
        destination.answering.set()
        later = fixture.new_sender()
        later.start(fixture.rows(1))
        assert await later.wait_until_finished(60)
        assert destination.accepted == [b"1"]


@pytest.mark.parametrize(
    "limits",
    [
        Limits(LIMITS.format, in_flight_bytes=5),
        Limits(LIMITS.format, in_flight_bodies=1),
    ],
    ids=["bytes", "bodies"],
)
async def test_capacity_is_waited_for(limits):
    destination = FakeDestination(limits=limits)
    destination.answering.clear()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(5))
        waiting = asyncio.create_task(fixture.sender.wait_for_capacity())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        destination.answering.set()
        async with asyncio.timeout(120):
            await waiting


@pytest.mark.parametrize("bad", [False, True], ids=["request", "dead letter"])
async def test_nothing_is_sent_while_the_partitions_may_be_somebody_elses(bad):
    """A process that wakes up after a freeze sends nothing until the group confirms its membership; it may end without."""
    destination = FakeDestination()
    async with sender_fixture(destination) as fixture:
        membership_valid = asyncio.Event()
        for confirmed in (True, False):
            later = fixture.new_sender(membership_valid)
            rows = fixture.rows(1)
            if bad:
                later.dead_letter(rows.tracked, ["unreadable"])
            else:
                later.start(rows)
            assert not await later.wait_until_finished(0.05)
            assert (destination.requests, fixture.dead_letters.put_records) == ([], [])
            if confirmed:
                membership_valid.set()
                assert await later.wait_until_finished(60)
                assert len(destination.accepted) + len(fixture.dead_letters.put_records) == 1
                destination.requests, fixture.dead_letters.put_records = [], []
                membership_valid.clear()
            else:
                await later.close(60)
                assert (destination.requests, fixture.dead_letters.put_records) == ([], [])


async def test_a_rejected_body_leaves_its_slot_to_others():
    """With one body at a time, only the next body can prove that the flow accepts rows."""
    destination = FakeDestination(
        lambda rows: Reject("400", 400) if b"0" in rows else Sent(), Limits(LIMITS.format, in_flight_bodies=1)
    )
    async with sender_fixture(destination, rejection=QUICK) as fixture:
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: fixture.problem is not None)
        await feed_until(fixture, lambda: len(fixture.dead_letters.put_records) == 1)
        assert await fixture.sender.wait_until_finished(60)
        assert [offset for offset, *_ in fixture.dead_letters.put_records] == [0]

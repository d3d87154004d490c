"""Answers that drop rows without naming them: each row of the body is a dead letter, and none is sent again."""

import asyncio

import pytest
import structlog

from consumer.destinations.outcome import Dropped, Paused, Reject, Sent
from consumer.timing import BreakerTiming
from tests.support.delivery import QUICK, FakeDestination, feed_until, sender_fixture
from tests.support.pipeline_world import wait_until

DROPPED = Dropped(2, "200 two are too old", 200)


def first_answer(outcome):
    """Answer the first request with `outcome`, and accept the others."""
    answers = iter([outcome])
    return FakeDestination(lambda _rows: next(answers, Sent()))


async def test_every_row_of_the_body_is_a_dead_letter_and_no_row_is_sent_again():
    """The dropped rows are among the dead letters; the rows that were stored are not stored twice."""
    destination = first_answer(DROPPED)
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(5))
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.dead_letters.put_records == [
            (offset, "200 two are too old", 200) for offset in range(5)
        ]
        assert len(destination.requests) == 1
        assert fixture.committable() == 5
        assert fixture.count("events_dropped") == 2
        assert fixture.count("events_dead_lettered", reason="unnamed") == 5
        assert fixture.count("events_accepted") == 0
        assert fixture.problem is None


async def test_the_drop_is_in_the_log_and_in_the_status():
    """One line has the number and the offsets; the notice of the status has the words of the destination."""
    with structlog.testing.capture_logs() as lines:
        async with sender_fixture(first_answer(DROPPED)) as fixture:
            fixture.rows(3)
            fixture.sender.start(fixture.rows(5))
            assert await fixture.sender.wait_until_finished(60)
            (notice,) = fixture.flow.state.drops
    (line,) = (each for each in lines if each["log_level"] == "error")
    assert (line["dropped"], line["events"], line["offsets"]) == (2, 5, ["events/0: 3 to 7"])
    assert "dropped 2 of the 5 events" in notice
    assert "200 two are too old" in notice


async def test_a_drop_is_an_acceptance_of_the_others():
    """It proves that the configuration works, so a row that waits for a witness is tried again, and is blamed."""
    quick = {"breaker": BreakerTiming(QUICK, QUICK), "rejection": QUICK}
    destination = FakeDestination(lambda rows: Reject("400 bad", 400) if b"0" in rows else DROPPED)
    async with sender_fixture(destination, **quick) as fixture:
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: isinstance(fixture.problem, Paused))
        assert fixture.dead_letters.put_records == []
        await feed_until(fixture, lambda: (0, "400 bad", 400) in fixture.dead_letters.put_records, 3)
        assert await fixture.sender.wait_until_finished(60)


@pytest.mark.parametrize("count", [0, 3, 4, -1])
async def test_an_answer_about_more_rows_than_were_sent_is_no_answer(count):
    destination = first_answer(Dropped(count, "nonsense"))
    async with sender_fixture(destination, breaker=BreakerTiming(QUICK, QUICK)) as fixture:
        fixture.sender.start(fixture.rows(3))
        assert await fixture.sender.wait_until_finished(60)
        assert len(destination.requests) == 2
        assert fixture.dead_letters.put_records == []
        assert fixture.count("events_dropped") == 0


async def test_a_body_whose_dead_letters_fail_is_not_committed():
    """Until Kafka has the dead letters, a successor sends the body again."""
    async with sender_fixture(first_answer(DROPPED), dead_letter=QUICK) as fixture:
        fixture.dead_letters.failures = 3
        fixture.sender.start(fixture.rows(5))
        await asyncio.sleep(0)
        assert fixture.committable() == 0
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.committable() == 5


async def test_a_warning_is_logged_once():
    """The destination accepted every row; its remark has one line while it lasts, and one at its end."""
    remarks = iter(["use the other endpoint"] * 3)
    destination = FakeDestination(lambda _rows: Sent(warning=next(remarks, "")))
    with structlog.testing.capture_logs() as lines:
        async with sender_fixture(destination) as fixture:
            for _ in range(4):
                fixture.sender.start(fixture.rows(1))
                assert await fixture.sender.wait_until_finished(60)
            assert fixture.count("events_accepted") == 4
    shown = [(each["log_level"], each.get("reason")) for each in lines if each["log_level"] != "debug"]
    assert shown == [("warning", "use the other endpoint"), ("info", None)]

"""Answers that name rows: what is accepted, sent again, or becomes a dead letter."""

import pytest

from consumer.destinations.contract import OffsetRange
from consumer.destinations.outcome import Partial, Paused, Retry, Sent
from consumer.timing import BackoffCurve, BreakerTiming
from tests.support.delivery import QUICK, FakeDestination, feed_until, sender_fixture
from tests.support.pipeline_world import wait_until


class ByRow(FakeDestination):
    """Judges each row: rejects some for ever, wants others again a few times, accepts the rest."""

    def __init__(self, bad=(), throttled=(), times=1):
        super().__init__(self.judge)
        self.bad, self.throttled, self.times = set(bad), set(throttled), times
        self.outcomes = []

    def judge(self, rows):
        rejected = {index: f"bad {row!r}" for index, row in enumerate(rows) if row in self.bad}
        again = (
            {index for index, row in enumerate(rows) if row in self.throttled} if self.times > 0 else set()
        )
        self.times -= bool(again)
        outcome = Partial(rejected, frozenset(again), 0.0, 200) if rejected or again else Sent()
        self.outcomes.append(outcome)
        return outcome


async def test_rows_to_retry_go_on_alone_and_keep_their_offsets():
    """Accepted rows are never sent again, and the offset of a row to retry holds the commit back until it is accepted."""
    destination = ByRow(throttled=[b"1", b"4"], times=2)
    slow = BreakerTiming(BackoffCurve(0.2, 0.2), QUICK)
    async with sender_fixture(destination, breaker=slow) as fixture:
        fixture.sender.start(fixture.rows(6))
        await wait_until(lambda: fixture.tracker.delivered_count() == 4)
        assert fixture.committable() == 1
        assert isinstance(fixture.problem, Retry)
        assert await fixture.sender.wait_until_finished(60)
        assert destination.requests == [[b"%d" % n for n in range(6)], [b"1", b"4"], [b"1", b"4"]]
        assert sorted(destination.accepted) == [b"%d" % n for n in range(6)]
        assert fixture.committable() == 6
        assert fixture.count("events_accepted") == 6
        assert fixture.count("retries", reason="retry") == 2


async def test_a_rejected_row_with_a_witness_in_its_answer_is_a_dead_letter_at_once():
    destination = ByRow(bad=[b"500"])
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(1000))
        assert await fixture.sender.wait_until_finished(60)
        assert fixture.dead_letters.put_records == [(500, "bad b'500'", 200)]
        assert len(destination.requests) == 1
        assert fixture.committable() == 1000
        assert (
            fixture.count("events_accepted"),
            fixture.count("events_dead_lettered", reason="rejected"),
        ) == (
            999,
            1,
        )


@pytest.mark.parametrize("throttled", [[], [b"2"]], ids=["all rejected", "rejected and retried"])
async def test_without_a_witness_no_row_becomes_a_dead_letter(throttled):
    """Every row of the answer is rejected: the configuration may be wrong, so the rows wait for other evidence."""
    destination = ByRow(bad=[b"0", b"1"], throttled=throttled, times=10**9)
    quick = {"breaker": BreakerTiming(QUICK, QUICK), "rejection": QUICK}
    async with sender_fixture(destination, **quick) as fixture:
        fixture.sender.start(fixture.rows(2 + len(throttled)))
        await wait_until(lambda: isinstance(fixture.problem, Paused))
        await wait_until(lambda: len(destination.requests) > 10)
        assert "bad" in fixture.problem.reason
        assert fixture.dead_letters.put_records == []
        destination.throttled = set()
        await feed_until(fixture, lambda: len(fixture.dead_letters.put_records) == 2)
        assert await fixture.sender.wait_until_finished(60)
        assert sorted(offset for offset, *_ in fixture.dead_letters.put_records) == [0, 1]


async def test_an_answer_about_rows_that_were_not_sent_is_no_answer():
    answers = iter([Partial({7: "bad"}), Partial({0: "bad"}, frozenset({0}))])
    destination = FakeDestination(lambda _rows: next(answers, Sent()))
    async with sender_fixture(destination, breaker=BreakerTiming(QUICK, QUICK)) as fixture:
        fixture.sender.start(fixture.rows(2))
        assert await fixture.sender.wait_until_finished(60)
        assert len(destination.requests) == 3
        assert fixture.dead_letters.put_records == []
        assert fixture.committable() == 2


async def test_a_body_knows_its_offsets():
    """Names and ids of a destination are made of them, and are the same on every try."""
    bodies = []

    class Naming(FakeDestination):
        async def send(self, body):
            bodies.append(body)
            return Retry("again") if len(bodies) == 1 else Sent()

    async with sender_fixture(Naming(), breaker=BreakerTiming(QUICK, QUICK)) as fixture:
        fixture.rows(3)
        fixture.sender.start(fixture.rows(4))
        assert await fixture.sender.wait_until_finished(60)
        assert bodies[0] == bodies[1]
        assert bodies[0].offsets == (OffsetRange("events", 0, 3, 6),)
        assert (bodies[0].rows, bodies[0].raw_bytes) == (4, len("[3,4,5,6]"))

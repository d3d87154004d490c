"""Rejected events that wait for the acceptance of others: the status names them."""

from consumer.destinations.outcome import Reject, Sent
from tests.support.delivery import QUICK, FakeDestination, sender_fixture
from tests.support.pipeline_world import wait_until


async def test_rejected_events_that_wait_in_a_quiet_flow_are_named_until_others_are_accepted():
    """Two bad events of two bodies are each other's answers, and one acceptance is evidence against one of them only."""
    bad = {b"0", b"1"}
    destination = FakeDestination(lambda rows: Reject("400", 400) if bad & set(rows) else Sent())
    async with sender_fixture(destination, rejection=QUICK) as fixture:
        state = fixture.flow.state
        for _ in range(2):
            fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: len(fixture.flow.routes.of(None)._suspected) == 2)
        fixture.sender.start(fixture.rows(1))
        await wait_until(
            lambda: (
                state.accepted == 1 and not fixture.flow.routes.of(None)._suspected and state.open_rejections
            )
        )
        assert fixture.problem is None
        assert ", since 20" in state.open_rejections[0]
        while not await fixture.sender.wait_until_finished(0.05):
            fixture.sender.start(fixture.rows(1))
        assert state.open_rejections == ()
        assert sorted(offset for offset, *_ in fixture.dead_letters.put_records) == [0, 1]

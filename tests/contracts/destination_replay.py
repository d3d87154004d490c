"""Claims about the rows and the bodies of a replay."""

import pytest

from consumer.destinations.outcome import Sent
from tests.contracts.destination_case import body_of, encoded, uids
from tests.support.messages import event

ID, ANOTHER = "20261130-071500-ab12", "20261130-071500-cd34"


async def a_replay_never_reaches_the_live_flow(case):
    """Its rows are where those of history are, or in a place of their own, and no row of the live flow is touched."""
    async with case.kind.open("target", case.peer.config, case.kind.request_timeout_seconds) as flows:
        if "history" not in flows:
            pytest.skip("the kind takes no history")
        assert await flows["live"].send(body_of(flows["live"], [event(1)])) == Sent()
        assert await flows["history"].send(body_of(flows["history"], [event(2)], ID)) == Sent()
    assert case.peer.stored() == uids([1])
    assert _stored(case, ID) == uids([2])
    if case.peer.stored_replay is not None:
        assert case.peer.stored_history() == []


async def a_replay_to_live_reaches_the_live_flow(case):
    """An operator may want it there; its rows keep their mode."""
    assert await case.live.send(body_of(case.live, [event(1)], ID, keep_mode=True)) == Sent()
    assert case.peer.stored() == uids([1])
    assert case.peer.stored_history() == []


async def each_row_of_a_replay_names_the_job_and_its_mode(case):
    """The id is in each row, and the mode in those that do not go to the live flow. A row of live events has neither."""
    events = [event(1), event(2, description="x" * 5_000_000)]
    replayed, kept = encoded(case.live, events, ID), encoded(case.live, events, ID, keep_mode=True)
    live = encoded(case.live, events)
    assert len(replayed) == len(kept) == len(live) == 2
    for row, kept_row, live_row in zip(replayed, kept, live, strict=True):
        assert row.count(ID.encode()) == kept_row.count(ID.encode()) > 0
        assert row.count(b"replay") == kept_row.count(b"replay") + 1
        assert (b"live" in kept_row, b"live" in row) == (True, False)
        assert b"replay" not in live_row.lower()


async def a_body_of_a_replay_is_the_same_on_every_try(case):
    """Also by another owner of the job, which reads the events anew; another job has another body."""
    events = [event(number) for number in range(5)]
    made = [case.live.body(encoded(case.live, events, replay)) for replay in (ID, ID, ANOTHER)]
    assert (made[0] == made[1], made[0] == made[2]) == (True, False)


def _stored(case, replay):
    by_replay = case.peer.stored_replay
    return case.peer.stored_history() if by_replay is None else by_replay(replay)


CLAIMS = (
    a_replay_never_reaches_the_live_flow,
    a_replay_to_live_reaches_the_live_flow,
    each_row_of_a_replay_names_the_job_and_its_mode,
    a_body_of_a_replay_is_the_same_on_every_try,
)

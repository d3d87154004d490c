"""Routes of one destination: one that is refused, slow or not answered holds up no other, and its memory is bounded."""

import asyncio
from dataclasses import replace

import pytest

from consumer.destinations.outcome import Partial, Paused, Reject, Retry, Sent
from tests.support.in_memory_group import A, B
from tests.support.routed_group import ReadingProcess, RoutedDestination, TwoPartitions
from tests.support.waiting import wait_until

ROUTES = {"bad": "x", "good": "y", "other": "z"}
ORGANIZATIONS = {A: ("bad", "good"), B: ("other", "plain")}
TROUBLES = {
    "refused": lambda _rows: Paused("The index is closed.", 403),
    "away": lambda _rows: Retry("away", 503),
    "throttled": lambda _rows: Retry("throttled", 429),
    "full": lambda rows: Partial(retry=frozenset(range(len(rows))), status=429),
    "rejected": lambda _rows: Reject("no such field", 400),
    "each row rejected": lambda rows: Partial(dict.fromkeys(range(len(rows)), "no such field"), status=400),
    "silent": lambda _rows: None,
}


def destination(max_rows=10, **limits):
    made = RoutedDestination(**{"routes": ROUTES, "in_flight_bodies": 2, **limits})
    made.limits = replace(made.limits, format=replace(made.limits.format, max_rows=max_rows))
    return made


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_route_in_trouble_holds_up_no_other(trouble):
    """Organizations of the same partition and of others go on; once it is mended nothing was lost, or blamed on an event."""
    kafka, target = TwoPartitions(ORGANIZATIONS, 100), destination(request_timeout_seconds=0.05)
    target.answers["x"] = TROUBLES[trouble]
    async with ReadingProcess(target, kafka) as one:
        await wait_until(lambda: sorted(target.accepted) == sorted(kafka.ids("good", "other", "plain")))
        kafka.append(40)
        await wait_until(lambda: sorted(target.accepted) == sorted(kafka.ids("good", "other", "plain")))
        flow = one.handler._pipeline.flow
        await wait_until(lambda: "Events of bad wait since" in (flow.problem.reason if flow.problem else ""))
        await wait_until(lambda: kafka.offsets[B].offset == 140)
        assert kafka.offsets[A].offset == 0

        target.answers.clear()
        await wait_until(lambda: kafka.is_committed)
        await wait_until(lambda: one.handler._pipeline.flow.problem is None)
    assert set(target.accepted) == set(kafka.ids())
    assert one.handler._pipeline.flow.dead_letters.put_records == []
    if trouble != "silent":
        assert len(target.accepted) == len(set(target.accepted))


async def test_a_partition_is_held_when_its_offset_can_hold_no_more_and_no_other_partition():
    """The status names the partition, the organization that holds it back, and those that wait; a kill repeats a bounded number."""
    kafka = TwoPartitions(ORGANIZATIONS, 1_000)
    kafka.max_metadata = 4096
    target = destination(max_uncommitted=400)
    target.answers["x"] = TROUBLES["refused"]
    async with ReadingProcess(target, kafka) as one:
        await wait_until(lambda: set(kafka.ids("other", "plain")) <= set(target.accepted))
        await wait_until(lambda: bool(one.state.held_partitions))
        await wait_until(lambda: "Events of good wait behind them." in one.state.held_partitions[0])
        (text,) = one.state.held_partitions
        assert "events, partition 0, wait since" in text
        assert "those of bad" in text
        good = len([each for each in target.accepted if each in set(kafka.ids("good"))])
        # a hundred ranges are committed; behind them a quarter of the bound, and the bodies that were on their way
        assert 100 < good < 100 + 100 + 3 * 10
        assert one.assignment._commits.uncommitted() <= 100 + 3 * 10
        kafka.rejects_commits = True
    kafka.rejects_commits = False
    before = len(target.accepted)

    target.answers.clear()
    async with ReadingProcess(target, kafka) as another:
        await wait_until(lambda: kafka.is_committed)
        await wait_until(lambda: not another.state.held_partitions)
    assert set(target.accepted) == set(kafka.ids())
    assert before <= len(set(target.accepted))
    assert len(target.accepted) - len(set(target.accepted)) < 400


async def test_routes_in_trouble_hold_a_bounded_number_of_events():
    """The memory of all routes together is bounded, however many fail, and the others still have a share."""
    names = [f"bad{number}" for number in range(8)]
    kafka = TwoPartitions({A: names, B: ("good", "plain")}, 1_200)
    target = destination(routes={**{each: each for each in names}, "good": "y"}, in_flight_bytes=100_000)
    target.limits = replace(target.limits, format=replace(target.limits.format, max_bytes=20_000))
    for each in names:
        target.answers[each] = TROUBLES["away"]
    most = 0
    async with ReadingProcess(target, kafka) as one:
        queues = one.assignment._route_holds.queues
        async with asyncio.timeout(60):
            while not set(kafka.ids("good", "plain")) <= set(target.accepted):
                most = max(most, one.assignment._sender.bytes + queues._waiting_bytes.total())
                await asyncio.sleep(0.01)
        assert 0 < most < 200_000
        target.answers.clear()
        await wait_until(lambda: kafka.is_committed)
    assert sorted(target.accepted) == sorted(kafka.ids())


async def test_a_slow_route_takes_no_more_than_its_share_of_the_slots():
    """The last slot is not its own, so the others are done before its first request is; none is open beyond the setting."""
    kafka, target = (
        TwoPartitions(ORGANIZATIONS, 200),
        destination(in_flight_bodies=3, request_timeout_seconds=600),
    )
    gate = asyncio.Event()
    send = RoutedDestination.send

    async def slow_send(body):
        if body.route == "x":
            await gate.wait()
        return await send(target, body)

    target.send = slow_send
    async with ReadingProcess(target, kafka):
        await wait_until(lambda: set(kafka.ids("other", "plain", "good")) <= set(target.accepted))
        gate.set()
        await wait_until(lambda: kafka.is_committed)
    assert target.most_open <= 3
    assert sorted(target.accepted) == sorted(kafka.ids())


async def test_routes_that_are_not_answered_leave_a_slot_to_one_that_has_none():
    """Two of them take all slots. Each keeps its requests until their time limit, and the third has one at a time meanwhile."""
    kafka = TwoPartitions({A: ("bad", "other"), B: ("good",)}, 40)
    target = destination(max_rows=5, in_flight_bodies=2, request_timeout_seconds=600)
    gate = asyncio.Event()
    send = RoutedDestination.send

    async def silent_send(body):
        if body.route in {"x", "z"}:
            await gate.wait()
        return await send(target, body)

    target.send = silent_send
    async with ReadingProcess(target, kafka):
        await wait_until(lambda: set(kafka.ids("good")) <= set(target.accepted))
        assert set(target.accepted) == set(kafka.ids("good"))
        gate.set()
        await wait_until(lambda: kafka.is_committed)
    assert sorted(target.accepted) == sorted(kafka.ids())


async def test_a_rejected_event_gets_its_evidence_through_a_held_partition():
    """The only event of a route waits for the next one of it, which is behind the hold: it is read for a moment now and then."""
    kafka = TwoPartitions({A: ("good",), B: ("other",)}, 0)
    kafka.append(400)
    target = destination(max_uncommitted=40, routes={"good": "y", "other": "z"})
    kafka.max_metadata = 0
    bad = {3}
    target.answers["y"] = lambda rows: Reject("no such field", 400) if bad & set(rows) else Sent()
    async with ReadingProcess(target, kafka) as one:
        await wait_until(lambda: kafka.is_committed)
    dead = [offset for offset, *_ in one.handler._pipeline.flow.dead_letters.put_records]
    assert dead == [3]
    assert sorted([*target.accepted, *dead]) == sorted(kafka.ids())

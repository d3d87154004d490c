import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.circuit_breaker import BreakerState, CircuitBreaker, Permit, RateLimit
from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split

BUSY = Retry("busy", 429)


def permit(state, now):
    """A turn that must be there."""
    given = state.turn(now)
    assert isinstance(given, Permit)
    return given


def test_without_trouble_everybody_sends():
    trouble = BreakerState()
    assert [trouble.try_acquire(0.0) for _ in range(3)] == [Permit(0, probe=False)] * 3


def test_one_refusal_holds_everybody_back_and_one_probes_for_all():
    trouble = BreakerState()
    first, second = permit(trouble, 0), permit(trouble, 0)
    trouble.release(first, BUSY, 0.0, 1.0)
    assert trouble.try_acquire(0.1) == 0.4
    trouble.release(second, BUSY, 0.2, 1.0)
    assert trouble.open_until == 0.5

    probe = permit(trouble, 0.5)
    assert probe.probe
    assert trouble.try_acquire(0.6) is None
    trouble.release(probe, Sent(), 0.7, 1.0)
    assert trouble.problem is None
    assert not permit(trouble, 0.7).probe


def test_waits_double_up_to_half_a_minute():
    trouble = BreakerState()
    now, waits = 0.0, []
    for _ in range(10):
        trouble.release(permit(trouble, now), BUSY, now, 1.0)
        waits.append(trouble.open_until - now)
        now = trouble.open_until
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_a_fault_of_the_setup_is_tried_slowly_from_the_start():
    trouble = BreakerState()
    trouble.release(permit(trouble, 0), BUSY, 0, 1.0)
    trouble.release(permit(trouble, 10), Paused("no role", 403), 10, 1.0)
    assert trouble.open_until == 15
    assert trouble.problem == Paused("no role", 403)


@given(st.floats(0, 900), st.floats(0, 1))
def test_what_the_destination_asked_for_is_never_undercut(asked, chance):
    trouble = BreakerState()
    first, second = permit(trouble, 0), permit(trouble, 0)
    trouble.release(first, BUSY, 0, chance)
    trouble.release(second, Retry("busy", 429, after=asked), 1, chance)
    assert trouble.open_until >= 1 + asked

    other = BreakerState()
    other.release(permit(other, 0), Retry("busy", 429, after=asked), 0, chance)
    assert other.open_until >= asked


def test_an_answer_to_an_older_request_does_not_end_the_wait():
    trouble = BreakerState()
    first, second = permit(trouble, 0), permit(trouble, 0)
    trouble.release(first, BUSY, 0, 1.0)
    trouble.release(second, Sent(), 0.1, 1.0)
    assert trouble.problem == BUSY


def test_a_probe_that_is_given_up_leaves_its_place_to_another():
    trouble = BreakerState()
    trouble.release(permit(trouble, 0), BUSY, 0, 1.0)
    trouble.release(permit(trouble, 1), None, 1, 1.0)
    assert permit(trouble, 1).probe


def test_any_answer_about_the_rows_ends_the_trouble():
    for outcome in (Reject("400", 400), Split("413", 413)):
        trouble = BreakerState()
        trouble.release(permit(trouble, 0), BUSY, 0, 1.0)
        trouble.release(permit(trouble, 1), outcome, 1, 1.0)
        assert trouble.problem is None


async def test_those_who_wait_go_on_when_the_probe_succeeds():
    now = 0.0
    gate = CircuitBreaker(RateLimit(), clock=lambda: now, chance=lambda: 0.0)
    gate.release(await gate.acquire(), BUSY)
    now = 1.0
    probe = await gate.acquire()
    waiting = [asyncio.create_task(gate.acquire()) for _ in range(5)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)

    gate.release(probe, Sent())
    async with asyncio.timeout(5):
        turns = await asyncio.gather(*waiting)
    assert not any(each.probe for each in turns)
    assert gate.problem is None


async def test_trouble_counts_while_somebody_waits_and_not_for_ever():
    """The partitions whose events waited may be another's now, who sees when it is over."""
    now = 0.0
    gate = CircuitBreaker(RateLimit(), clock=lambda: now, chance=lambda: 0.0)
    gate.release(await gate.acquire(), Paused("no role", 403))
    waiting = asyncio.create_task(gate.acquire())
    await asyncio.sleep(0)
    now = 60.0
    assert gate.problem is not None

    waiting.cancel()
    await asyncio.wait({waiting})
    assert gate.problem is None
    assert (await gate.acquire()).probe
    assert gate.problem is not None


async def test_the_wait_ends_by_itself():
    gate = CircuitBreaker(RateLimit(), chance=lambda: 0.0)
    gate.release(await gate.acquire(), Retry("busy", after=0.05))
    assert 0 < gate.wait_seconds <= 0.25
    async with asyncio.timeout(5):
        assert (await gate.acquire()).probe


async def test_a_rule_that_is_sent_too_much_is_left_alone_by_all_its_streams():
    throttle = RateLimit()
    live, history = CircuitBreaker(throttle), CircuitBreaker(throttle)
    history.release(await history.acquire(), Retry("busy", 429, after=0.2))
    begun = time.monotonic()
    turn = await live.acquire()
    assert time.monotonic() - begun >= 0.19
    assert not turn.probe


@pytest.mark.parametrize("outcome", [Paused("no stream", 404), Retry("busy", 503), Retry("reset")])
async def test_one_streams_own_trouble_leaves_the_other_alone(outcome):
    throttle = RateLimit()
    live, history = CircuitBreaker(throttle), CircuitBreaker(throttle)
    history.release(await history.acquire(), outcome)
    async with asyncio.timeout(0.1):
        await live.acquire()

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.circuit_breaker import BreakerState, CircuitBreaker, Permit, RateLimit
from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split

BUSY = Retry("busy", 429)


def permit(state, now):
    """A permit that must be given."""
    acquired = state.try_acquire(now)
    assert isinstance(acquired, Permit)
    return acquired


def test_without_a_problem_everybody_sends():
    state = BreakerState()
    assert [state.try_acquire(0.0) for _ in range(3)] == [Permit(0, probe=False)] * 3


def test_one_refusal_holds_everybody_back_and_one_probes_for_all():
    state = BreakerState()
    first, second = permit(state, 0), permit(state, 0)
    state.release(first, BUSY, 0.0, 1.0)
    assert state.try_acquire(0.1) == 0.4
    state.release(second, BUSY, 0.2, 1.0)
    assert state.open_until == 0.5

    probe = permit(state, 0.5)
    assert probe.probe
    assert state.try_acquire(0.6) is None
    state.release(probe, Sent(), 0.7, 1.0)
    assert state.problem is None
    assert not permit(state, 0.7).probe


def test_waits_double_up_to_half_a_minute():
    state = BreakerState()
    now, waits = 0.0, []
    for _ in range(10):
        state.release(permit(state, now), BUSY, now, 1.0)
        waits.append(state.open_until - now)
        now = state.open_until
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_a_fault_of_the_setup_is_tried_slowly_from_the_start():
    state = BreakerState()
    state.release(permit(state, 0), BUSY, 0, 1.0)
    state.release(permit(state, 10), Paused("no role", 403), 10, 1.0)
    assert state.open_until == 15
    assert state.problem == Paused("no role", 403)


@given(st.floats(0, 900), st.floats(0, 1))
def test_a_wait_is_never_shorter_than_the_destination_asked_for(requested, jitter):
    state = BreakerState()
    first, second = permit(state, 0), permit(state, 0)
    state.release(first, BUSY, 0, jitter)
    state.release(second, Retry("busy", 429, after=requested), 1, jitter)
    assert state.open_until >= 1 + requested

    other = BreakerState()
    other.release(permit(other, 0), Retry("busy", 429, after=requested), 0, jitter)
    assert other.open_until >= requested


def test_an_answer_to_an_older_request_does_not_end_the_wait():
    state = BreakerState()
    first, second = permit(state, 0), permit(state, 0)
    state.release(first, BUSY, 0, 1.0)
    state.release(second, Sent(), 0.1, 1.0)
    assert state.problem == BUSY


def test_a_probe_that_is_given_up_leaves_its_place_to_another():
    state = BreakerState()
    state.release(permit(state, 0), BUSY, 0, 1.0)
    state.release(permit(state, 1), None, 1, 1.0)
    assert permit(state, 1).probe


def test_any_answer_about_the_rows_ends_the_problem():
    for outcome in (Reject("400", 400), Split("413", 413)):
        state = BreakerState()
        state.release(permit(state, 0), BUSY, 0, 1.0)
        state.release(permit(state, 1), outcome, 1, 1.0)
        assert state.problem is None


async def test_those_who_wait_go_on_when_the_probe_succeeds():
    now = 0.0
    breaker = CircuitBreaker(RateLimit(), clock=lambda: now, jitter=lambda: 0.0)
    breaker.release(await breaker.acquire(), BUSY)
    now = 1.0
    probe = await breaker.acquire()
    waiting = [asyncio.create_task(breaker.acquire()) for _ in range(5)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)

    breaker.release(probe, Sent())
    async with asyncio.timeout(120):
        permits = await asyncio.gather(*waiting)
    assert not any(each.probe for each in permits)
    assert breaker.problem is None


async def test_a_problem_counts_while_somebody_waits_and_not_for_ever():
    """The partitions whose events waited may be another's now, who sees when it is over."""
    now = 0.0
    breaker = CircuitBreaker(RateLimit(), clock=lambda: now, jitter=lambda: 0.0)
    breaker.release(await breaker.acquire(), Paused("no role", 403))
    waiting = asyncio.create_task(breaker.acquire())
    await asyncio.sleep(0)
    now = 60.0
    assert breaker.problem is not None

    waiting.cancel()
    await asyncio.wait({waiting})
    assert breaker.problem is None
    assert (await breaker.acquire()).probe
    assert breaker.problem is not None


async def test_the_wait_ends_by_itself():
    breaker = CircuitBreaker(RateLimit(), jitter=lambda: 0.0)
    started = time.monotonic()
    breaker.release(await breaker.acquire(), Retry("busy", after=0.25))
    assert breaker.wait_seconds <= 0.25
    async with asyncio.timeout(120):
        assert (await breaker.acquire()).probe
    assert time.monotonic() - started >= 0.24


async def test_a_rule_that_is_sent_too_much_is_left_alone_by_all_its_streams():
    rate_limit = RateLimit()
    live, history = CircuitBreaker(rate_limit), CircuitBreaker(rate_limit)
    started = time.monotonic()
    history.release(await history.acquire(), Retry("busy", 429, after=0.2))
    acquired = await live.acquire()
    assert time.monotonic() - started >= 0.19
    assert not acquired.probe


@pytest.mark.parametrize("outcome", [Paused("no stream", 404), Retry("busy", 503), Retry("reset")])
async def test_one_streams_own_problem_leaves_the_other_alone(outcome):
    rate_limit = RateLimit()
    live, history = (CircuitBreaker(rate_limit, clock=lambda: 0.0) for _ in range(2))
    history.release(await history.acquire(), outcome)
    async with asyncio.timeout(120):
        await live.acquire()

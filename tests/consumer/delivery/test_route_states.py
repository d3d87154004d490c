"""The problems of routes: each has its own, and the status names the organizations."""

import asyncio

import pytest

from consumer.delivery.circuit_breaker import RateLimit
from consumer.delivery.route_states import RouteStates
from consumer.destinations.outcome import Partial, Paused, Retry, Sent

ROUTES = {"a": "x", "b": "y", "c": "x", "d": "z"}


async def answer(states, route, outcome):
    breaker = states.of(route).breaker
    breaker.release(await breaker.acquire(), outcome)


def states(**options):
    return RouteStates(RateLimit(), None, ROUTES, jitter=lambda: 0.0, **options)


def test_a_suspicion_lasts_until_the_delivery_that_found_it_clears_it():
    state = states().of("x")
    state.config_suspected(1, "first")
    state.config_suspected(2, "second")
    assert state.problem == Paused("first")
    state.config_cleared(1)
    assert state.problem == Paused("second")
    state.config_cleared(2)
    state.config_cleared(2)
    assert state.problem is None


def test_an_acceptance_clears_every_suspicion_of_its_route_alone():
    both = states()
    both.of("x").config_suspected(1, "rejected")
    both.of("y").config_suspected(2, "rejected too")
    both.of("x").rows_accepted()
    assert both.of("x").problem is None
    assert not both.of("x").is_config_suspected(1)
    assert both.of("y").is_config_suspected(2)


async def test_an_acceptance_wakes_who_waits_for_one_of_its_route():
    both = states()
    assert not await both.of("x").accepted_within(0.01)
    waiting = [asyncio.create_task(both.of(each).accepted_within(1)) for each in ("x", "y")]
    await asyncio.sleep(0)
    both.of("x").rows_accepted()
    assert await waiting[0]
    waiting[1].cancel()


async def test_a_refused_route_stops_no_other_and_the_status_names_its_organizations():
    both = states()
    await answer(both, "x", Paused("The index x is closed.", 403))
    await answer(both, "y", Sent())
    assert both.of("y").breaker.problem is None
    waiting = asyncio.create_task(both.of("x").breaker.acquire())
    await asyncio.sleep(0)
    problem = both.problem
    assert isinstance(problem, Paused)
    assert problem.reason.startswith("Events of a, c wait since ")
    assert "The index x is closed." in problem.reason
    assert "Events of other organizations are delivered." in problem.reason
    assert both.problem_seconds(both.of("x").breaker.problem_since_ms + 5_000) == 5
    await answer(both, None, Retry("busy", 503))
    assert "One more route waits too." in both.problem.reason
    waiting.cancel()


async def test_a_problem_of_all_routes_has_its_own_words():
    both = states()
    for route in ("x", "y"):
        await answer(both, route, Paused("no role", 403))
    waiting = [asyncio.create_task(both.of(route).breaker.acquire()) for route in ("x", "y")]
    await asyncio.sleep(0)
    assert both.problem == Paused("no role", 403)
    for each in waiting:
        each.cancel()


@pytest.mark.parametrize(
    ("outcome", "waits"),
    [
        (Retry("slow down", 429, after=60), True),
        (Retry("the index is full", 429), False),
        (Partial(retry=frozenset({0}), status=429), False),
        (Retry("away", 503, after=60), False),
    ],
)
async def test_only_a_wait_that_the_endpoint_asked_for_holds_up_other_routes(outcome, waits):
    both = states()
    await answer(both, "x", outcome)
    other = asyncio.create_task(both.of("y").breaker.acquire())
    done, _ = await asyncio.wait({other}, timeout=0.05 if waits else 30)
    assert bool(done) != waits
    other.cancel()

"""Who waits after a failure: each cell of the table of RequestThrottle, against a simulated site."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from producer.sources.jira_cloud.request import RequestLimits
from producer.sources.jira_cloud.window_reader import JiraCloudLimits
from producer.sources.purpose import Purpose
from simulators import faults
from simulators.jira_cloud import faults as jira_faults
from tests.support.jira import backoff, error_kinds, jira_clients, page_request

WAIT_SECONDS = 40.0
"""Longer than any test here takes, also on a busy machine."""
SITE, ORGANIZATION, PURPOSE = "every request of the site", "every purpose of the organization", "the purpose"

FAILURES = {
    "429": (jira_faults.rate_limited(WAIT_SECONDS), SITE),
    "503 with Retry-After": (jira_faults.unavailable(WAIT_SECONDS), SITE),
    "401": (jira_faults.wrong_credentials(), ORGANIZATION),
    "missing scope": (jira_faults.scope_mismatch(), ORGANIZATION),
    "login failed on a 200": (jira_faults.anonymous(), ORGANIZATION),
    "CAPTCHA": (jira_faults.captcha(), ORGANIZATION),
    "403 of another token type": (jira_faults.connect_token(), ORGANIZATION),
    "403": (faults.respond_with(403), PURPOSE),
    "no administrator": (jira_faults.not_administrator(), PURPOSE),
    "free plan": (jira_faults.free_plan(), PURPOSE),
    "400": (faults.respond_with(400), PURPOSE),
    "404": (faults.respond_with(404), PURPOSE),
    "redirect": (jira_faults.redirect("https://new.atlassian.net/"), PURPOSE),
    "500": (jira_faults.server_error(), PURPOSE),
    "503": (jira_faults.unavailable(), PURPOSE),
    "reset": (faults.reset(), PURPOSE),
    "no answer": (faults.hang(), PURPOSE),
    "HTML": (jira_faults.html(), PURPOSE),
    "cut": (faults.cut_body(), PURPOSE),
}


@asynccontextmanager
async def refused_history(jira, fault):
    """Yield a site, and two sources of it, after a request for history of the first one has failed."""
    acme = await jira.add_site("acme")
    seconds = 2.0 if fault.name == faults.hang().name else 30.0
    limits = JiraCloudLimits(request=RequestLimits(seconds=seconds))
    timing = backoff(WAIT_SECONDS, login_failure_seconds=WAIT_SECONDS, key_check_seconds=0.05)
    async with jira_clients(jira, backoff=timing, limits=limits) as found:
        organization = found.organization(acme)
        found.credentials.keys["neighbour"] = acme.token
        source = found.sources.source_for(organization)
        neighbour = found.sources.source_for(replace(organization, name="neighbour"))
        acme.fault(fault)
        assert await error_kinds(source.fetch_page(page_request(), Purpose.BACKFILL)) != [None]
        yield acme, found, source, neighbour


def served(site):
    """How many requests were answered without a fault."""
    return sum(request.fault is None for request in site.requests())


async def is_held(call, *, expected):
    """Whether a request waits; it is cancelled then. One that is not `expected` to wait gets more time to be served."""
    task = asyncio.create_task(call)
    await asyncio.wait({task}, timeout=0.3 if expected else 15.0)
    if task.done():
        await task
        return False
    task.cancel()
    await asyncio.wait({task})
    return True


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_wait_holds_up_those_that_the_failure_concerns(jira, failure):
    """History is refused: it waits itself; live polling and other organizations only where the failure concerns them."""
    fault, concerned = FAILURES[failure]
    async with refused_history(jira, fault) as (acme, _found, source, neighbour):
        before = served(acme)
        history = await is_held(source.fetch_page(page_request(), Purpose.BACKFILL), expected=True)
        live = await is_held(source.fetch_page(page_request(), Purpose.LIVE), expected=concerned != PURPOSE)
        other = await is_held(neighbour.fetch_page(page_request(), Purpose.LIVE), expected=concerned == SITE)
        sent = served(acme) - before

    assert (history, live, other) == (True, concerned != PURPOSE, concerned == SITE)
    assert sent == (not live) + (not other)
    assert acme.premature_requests() == []


@pytest.mark.parametrize("failure", ["401", "403"])
async def test_a_new_key_ends_the_waits_of_all_purposes(jira, failure):
    """A wait that an operator can end is over once the key has changed, whichever purpose was refused."""
    async with refused_history(jira, FAILURES[failure][0]) as (acme, found, source, _neighbour):
        found.credentials.keys["acme"] = acme.add_token()
        async with asyncio.timeout(WAIT_SECONDS / 2):
            await source.fetch_page(page_request(), Purpose.BACKFILL)
            await source.fetch_page(page_request(), Purpose.LIVE)


async def test_waits_grow_for_each_purpose_by_itself(jira):
    """An answer to live polling does not shorten the next wait of history, and failures of history lengthen none of live."""
    acme = await jira.add_site("acme")
    async with jira_clients(jira, backoff=backoff(0.05, page_pause_seconds=0.0)) as found:
        throttle = found.source_for(acme)._throttle
        failure = (await _failure(found.source_for(acme), acme)).failure
        waits = []
        for _ in range(6):
            throttle.succeeded(Purpose.LIVE)
            waits.append(throttle.back_off(failure, Purpose.BACKFILL).retry_seconds)
        live = throttle.back_off(failure, Purpose.LIVE).retry_seconds

    assert waits[-1] > 8 * 0.05
    assert live <= 2 * 0.05


async def _failure(source, site):
    site.fault(jira_faults.server_error())
    (error,) = await asyncio.gather(source.fetch_page(page_request()), return_exceptions=True)
    return error

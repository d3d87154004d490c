"""Fixtures: for one call, a simulated Jira whose clock shows NOW, one site and a client; for sources, a Jira and sources."""

import pytest

from producer.sources.jira_cloud.client import open_client
from simulators.jira_cloud.world import JiraWorld
from tests.support.jira import backoff, jira_clients
from tests.support.jira_endpoints import NOW


@pytest.fixture
async def world():
    async with JiraWorld(seed=1, clock=lambda: NOW) as world:
        yield world


@pytest.fixture
async def site(world):
    return await world.add_site("acme")


@pytest.fixture
async def client():
    async with open_client() as client:
        yield client


@pytest.fixture
async def jira():
    async with JiraWorld(seed=8) as world:
        yield world


@pytest.fixture
async def jira_fixture(jira):
    async with jira_clients(jira) as found:
        yield found


@pytest.fixture
async def hasty(jira):
    """Return waits of tenths of a second in place of minutes."""
    timing = backoff(0.6, login_failure_seconds=1.0, key_check_seconds=0.05)
    async with jira_clients(jira, backoff=timing) as found:
        yield found


@pytest.fixture
async def watchful(jira):
    """Return a wait of a minute, with a check for a new key each moment."""
    async with jira_clients(jira, backoff=backoff(60.0, key_check_seconds=0.05)) as found:
        yield found

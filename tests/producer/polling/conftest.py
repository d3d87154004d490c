"""Fixtures of the poller's tests: a simulated Jira with one site, and sources with short waits."""

import pytest

from simulators.jira_cloud.world import JiraWorld
from tests.support.jira import jira_clients
from tests.support.poller import BACKOFF


@pytest.fixture
async def jira():
    async with JiraWorld(seed=9) as world:
        yield world


@pytest.fixture
async def acme(jira):
    return await jira.add_site("acme")


@pytest.fixture
async def jira_fixture(jira):
    async with jira_clients(jira, backoff=BACKOFF) as found:
        yield found

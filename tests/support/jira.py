"""Jira sources as the producer opens them, for simulated sites."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

from pydantic import SecretStr

from producer.sources.errors import RetryAction, SourceError
from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from producer.sources.jira_cloud.client import open_clients
from producer.sources.jira_cloud.factory import JiraCloudSources
from producer.sources.jira_cloud.pager import PageRequest
from producer.sources.throttle import BackoffTiming
from relay.errors import SecretError
from relay.organizations import Organization
from relay.timestamps import now_ms


def backoff(seconds, **timing):
    """The waits of a source, all of them short."""
    waits = dict.fromkeys(RetryAction, seconds)
    return BackoffTiming(**{"first_seconds": waits, "login_failure_seconds": seconds, **timing})


class StubCredentials:
    """A stub of Credentials with the present key of each organization; None means no key."""

    def __init__(self):
        self.keys = {}

    async def prepare(self, organization):
        pass

    async def reread(self, _organization):
        return False

    def resolve(self, organization, max_age_seconds=None):  # noqa: ARG002 - as the real one
        key = self.keys.get(organization["name"])
        if key is None:
            raise SecretError(f"The API key of {organization['name']} is not there.")
        return SecretStr(key)


class JiraFixture:
    """`options`: `slots`, `backoff` and `limits` of the sources."""

    def __init__(self, clients, gateway_url, **options):
        self.credentials = StubCredentials()
        self.clock = now_ms
        self.sources = JiraCloudSources(
            clients, self.credentials, AllowedHosts(gateway_url, []), self.now_ms, **options
        )

    def now_ms(self):
        return self.clock()

    def organization(self, site, **fields):
        self.credentials.keys.setdefault(site.name, site.token)
        now = now_ms()
        return replace(Organization(site.name, site.url, site.user, now, now, 1), **fields)

    def source_for(self, site, **fields):
        return self.sources.source_for(self.organization(site, added=0, modified=0, **fields))


@asynccontextmanager
async def jira_clients(jira, **options):
    async with open_clients(100) as clients:
        yield JiraFixture(clients, jira.gateway_url, **options)


def page_request():
    return PageRequest(0, 1_900_000_000_000, 0, 1000)


async def error_kinds(*awaitables):
    """Return the kind of each refusal, None for a success."""
    found = await asyncio.gather(*awaitables, return_exceptions=True)
    return [one.failure.kind if isinstance(one, SourceError) else None for one in found]

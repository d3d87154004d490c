"""Jira sources as the producer opens them, for simulated sites."""

from contextlib import asynccontextmanager
from dataclasses import replace

from pydantic import SecretStr

from producer.sources.jira_cloud.client import open_clients
from producer.sources.jira_cloud.source import JiraCloudSources
from relay.credentials.url_policy import AllowedHosts
from relay.errors import SecretError
from relay.organizations import Organization
from relay.timestamps import now_ms


class StubCredentials:
    """A stub of Credentials with the present key of each organization; None means no key."""

    def __init__(self):
        self.keys = {}

    def resolve(self, organization):
        key = self.keys.get(organization["name"])
        if key is None:
            raise SecretError(f"The API key of {organization['name']} is not there.")
        return SecretStr(key)


class JiraFixture:
    def __init__(self, clients, gateway_url):
        self.credentials = StubCredentials()
        self.sources = JiraCloudSources(clients, self.credentials, AllowedHosts(gateway_url, []), now_ms)

    def organization(self, site, **fields):
        self.credentials.keys.setdefault(site.name, site.token)
        now = now_ms()
        return replace(Organization(site.name, site.url, site.user, now, now, 1), **fields)

    def source_for(self, site, **fields):
        return self.sources.source_for(self.organization(site, added=0, modified=0, **fields))


@asynccontextmanager
async def jira_clients(jira):
    async with open_clients(100) as clients:
        yield JiraFixture(clients, jira.gateway_url)

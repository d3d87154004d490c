"""One call to a simulated site, by the site or the gateway."""

from typing import Any

from producer.sources.errors import SourceFailure
from producer.sources.jira_cloud import client as jira
from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from producer.sources.jira_cloud.auth import Endpoint, open_endpoint
from producer.sources.jira_cloud.page import Page
from producer.sources.jira_cloud.request import RequestLimits
from simulators.jira_cloud.site import SimulatedSite

NOW = 1_790_000_000_000


def hosts(site: SimulatedSite) -> AllowedHosts:
    return AllowedHosts(site.gateway_root)


def at_site(site: SimulatedSite, key: str | None = None, user: str | None = None) -> Endpoint:
    return open_endpoint("acme", site.url, user or site.user, key or site.token, hosts(site))


def at_gateway(site: SimulatedSite, key: str | None = None) -> Endpoint:
    return open_endpoint(
        "acme",
        site.url,
        site.user,
        key or site.scoped_token,
        hosts(site),
        gateway=True,
        cloud_id=site.cloud_id,
    )


async def fetch_page(
    client: jira.JiraClient,
    endpoint: Endpoint,
    from_ms: int = NOW - 10_000,
    until_ms: int = NOW,
    offset: int = 0,
    limit: int = 1000,
    **limits: Any,
) -> Page | SourceFailure:
    return await jira.fetch_page(
        client, endpoint, from_ms, until_ms, offset, limit, limits=RequestLimits(**limits)
    )

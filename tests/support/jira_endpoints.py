"""One call to a simulated site, by the site or the gateway."""

from producer.sources.jira_cloud import client as jira
from producer.sources.jira_cloud.auth import open_endpoint
from producer.sources.jira_cloud.client import RequestLimits
from relay.credentials.url_policy import AllowedHosts

NOW = 1_790_000_000_000


def hosts(site):
    return AllowedHosts(site.gateway_root)


def at_site(site, key=None, user=None):
    return open_endpoint("acme", site.url, user or site.user, key or site.token, hosts(site))


def at_gateway(site, key=None):
    return open_endpoint(
        "acme",
        site.url,
        site.user,
        key or site.scoped_token,
        hosts(site),
        gateway=True,
        cloud_id=site.cloud_id,
    )


async def fetch_page(client, endpoint, from_ms=NOW - 10_000, until_ms=NOW, offset=0, limit=1000, **limits):
    return await jira.fetch_page(
        client, endpoint, from_ms, until_ms, offset, limit, limits=RequestLimits(**limits)
    )

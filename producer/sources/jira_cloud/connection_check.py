"""What is wrong with a connection to Jira, or that nothing is."""

from dataclasses import dataclass

import httpx

from producer.sources.errors import Failure, Kind
from producer.sources.jira_cloud import client as jira
from producer.sources.jira_cloud.auth import Access, open_access
from producer.sources.jira_cloud.page import Page
from relay.credentials.url_policy import AllowedHosts

_REFUSED = {Kind.KEY_REFUSED, Kind.ANONYMOUS}
_KNOWN = {Kind.SCOPE_MISSING, Kind.NOT_ADMINISTRATOR, Kind.FREE_PLAN, Kind.RATE_LIMITED}
_NO_JIRA = {Kind.NOT_JIRA, Kind.BROKEN_ANSWER, Kind.REDIRECTED}
_NO_WAY = {
    Kind.HOST_UNKNOWN,
    Kind.UNREACHABLE,
    Kind.TLS,
    Kind.REDIRECTED,
    Kind.RATE_LIMITED,
    Kind.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`failure` None: the audit log can be read, through the gateway if `gateway` says so.

    `cloud_id` None: it could not be learned. `message` is for an operator. `date_ms`: the site's clock when it was first asked.
    """

    failure: Failure | None
    message: str
    cloud_id: str | None = None
    gateway: bool = False
    date_ms: int | None = None


async def diagnose(
    client: httpx.AsyncClient,
    organization: str,
    url: str,
    user: str,
    key: str,
    hosts: AllowedHosts,
    *,
    scoped: bool = False,
) -> Diagnosis:
    """Try the site, and where it refuses the key, the gateway: a key with scopes works there only.

    `scoped`: the key is known to have scopes; then the gateway alone is tried, as each try at the site would be a failed
    login. One wrong key costs one failed login. Raises RelayError where user, key or host cannot be used at all.
    """
    access = open_access(organization, url, user, key, hosts)
    site = await jira.tenant_info(client, organization, url)
    if isinstance(site, Failure) and site.kind in _NO_WAY:
        return Diagnosis(site, site.message)
    cloud_id = _cloud_id(site)
    if scoped and cloud_id is not None:
        door = open_access(organization, url, user, key, hosts, gateway=True, cloud_id=cloud_id)
        return _concluded(await _try(client, door), door, site)
    at_site = await _try(client, access)
    if isinstance(site, Failure) and at_site is not None and at_site.kind in _NO_JIRA:
        return Diagnosis(site, site.message)
    if at_site is None or at_site.kind not in _REFUSED or cloud_id is None:
        return _concluded(at_site, access, site)
    door = open_access(organization, url, user, key, hosts, gateway=True, cloud_id=cloud_id)
    at_gateway = await _try(client, door)
    if at_gateway is None or at_gateway.kind in _KNOWN:
        return _concluded(at_gateway, door, site)
    return _concluded(at_site, access, site)


async def _try(client: httpx.AsyncClient, access: Access) -> Failure | None:
    """Whether the audit log can be read. An empty one proves nothing, so Jira is asked who we are."""
    page = await jira.probe(client, access)
    if isinstance(page, Page) and not page.records:
        account = await jira.myself(client, access)
        return account if isinstance(account, Failure) and account.kind is not Kind.SCOPE_MISSING else None
    return page if isinstance(page, Failure) else None


def _cloud_id(site: jira.Site | Failure) -> str | None:
    return site.cloud_id if isinstance(site, jira.Site) else None


def _concluded(found: Failure | None, access: Access, site: jira.Site | Failure) -> Diagnosis:
    way = "through Atlassian's gateway: the key has scopes" if access.asked.gateway else "at the site itself"
    message = found.message if found else f"{access.asked.organization}: the audit log can be read, {way}."
    return Diagnosis(found, message, _cloud_id(site), access.asked.gateway, site.date_ms)

"""The test of a connection to Jira: through the site or the gateway, and the cause if neither works."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from producer.sources.contract import ConnectionTestResult
from producer.sources.errors import ErrorKind, SourceFailure
from producer.sources.jira_cloud import client as jira
from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from producer.sources.jira_cloud.auth import Endpoint, open_endpoint
from producer.sources.jira_cloud.config import JiraCloudConfig
from producer.sources.jira_cloud.page import Page
from producer.sources.jira_cloud.request import JiraClient
from relay.organizations import Organization

_KEY_REJECTED = {ErrorKind.KEY_REFUSED, ErrorKind.ANONYMOUS}
_KEY_ACCEPTED = {
    ErrorKind.SCOPE_MISSING,
    ErrorKind.NOT_ADMINISTRATOR,
    ErrorKind.FREE_PLAN,
    ErrorKind.RATE_LIMITED,
}
_NOT_THE_API = {ErrorKind.NOT_THE_API, ErrorKind.BROKEN_ANSWER, ErrorKind.REDIRECTED}
_NO_CONNECTION = {ErrorKind.HOST_UNKNOWN, ErrorKind.UNREACHABLE, ErrorKind.TLS, ErrorKind.REDIRECTED}
_UNREACHABLE = _NO_CONNECTION | {ErrorKind.RATE_LIMITED, ErrorKind.UNAVAILABLE}


class JiraCloudConnectionTest:
    """The connection test of any Jira Cloud site; see `ConnectionTest`."""

    def __init__(self, client: JiraClient, hosts: AllowedHosts) -> None:
        self._client = client
        self._hosts = hosts

    def check_url(self, organization: Organization) -> None:
        self._hosts.check(organization.url)

    async def run(
        self, organization: Organization, key: str | None, *, new_key: bool = False
    ) -> ConnectionTestResult:
        name, url = organization.name, organization.url
        if key is None:
            self._hosts.check(url)
            return await _test_site(self._client, organization)
        scoped = organization.gateway and not new_key
        return await run_connection_test(
            self._client, name, url, organization.user, key, self._hosts, scoped=scoped
        )


@asynccontextmanager
async def open_connection_test(config: JiraCloudConfig) -> AsyncIterator[JiraCloudConnectionTest]:
    """Open one client for the tests of a command."""
    async with jira.open_client() as client:
        yield JiraCloudConnectionTest(client, AllowedHosts(config.gateway_url, config.allowed_hosts))


async def run_connection_test(
    client: JiraClient,
    organization: str,
    url: str,
    user: str,
    key: str,
    hosts: AllowedHosts,
    *,
    scoped: bool = False,
) -> ConnectionTestResult:
    """Try the site, and if it refuses the key, the gateway: a key with scopes works only there.

    `scoped`: the key is known to have scopes. Then only the gateway is tried, since a try at the site would be a failed
    login. One wrong key costs one failed login. Raises RelayError if user, key or host are unusable.
    """
    site_endpoint = open_endpoint(organization, url, user, key, hosts)
    tenant = await jira.tenant_info(client, organization, url)
    if isinstance(tenant, SourceFailure) and tenant.kind in _UNREACHABLE:
        return ConnectionTestResult(tenant, tenant.message)
    cloud_id = _cloud_id(tenant)
    if scoped and cloud_id is not None:
        gateway_endpoint = open_endpoint(organization, url, user, key, hosts, gateway=True, cloud_id=cloud_id)
        return _result(await _test_endpoint(client, gateway_endpoint), gateway_endpoint, tenant)
    site_failure = await _test_endpoint(client, site_endpoint)
    if isinstance(tenant, SourceFailure) and site_failure is not None and site_failure.kind in _NOT_THE_API:
        return ConnectionTestResult(tenant, tenant.message)
    if site_failure is None or site_failure.kind not in _KEY_REJECTED or cloud_id is None:
        return _result(site_failure, site_endpoint, tenant)
    gateway_endpoint = open_endpoint(organization, url, user, key, hosts, gateway=True, cloud_id=cloud_id)
    gateway_failure = await _test_endpoint(client, gateway_endpoint)
    if gateway_failure is None or gateway_failure.kind in _KEY_ACCEPTED:
        return _result(gateway_failure, gateway_endpoint, tenant)
    return _result(site_failure, site_endpoint, tenant)


async def _test_site(client: JiraClient, organization: Organization) -> ConnectionTestResult:
    """Ask the site for its id, without a credential. Each answer shows the site; not every site tells its id."""
    tenant = await jira.tenant_info(client, organization.name, organization.url)
    if isinstance(tenant, SourceFailure) and tenant.kind in _NO_CONNECTION:
        return ConnectionTestResult(tenant, tenant.message)
    message = f"{organization.name}: the site answers."
    cloud_id = _cloud_id(tenant) or organization.cloud_id
    return ConnectionTestResult(None, message, cloud_id, organization.gateway, tenant.date_ms)


async def _test_endpoint(client: JiraClient, endpoint: Endpoint) -> SourceFailure | None:
    """Return why the audit log cannot be read. None: it can. An empty log proves nothing, so the account is fetched too."""
    page = await jira.probe(client, endpoint)
    if isinstance(page, Page) and not page.records:
        account = await jira.myself(client, endpoint)
        return (
            account
            if isinstance(account, SourceFailure) and account.kind is not ErrorKind.SCOPE_MISSING
            else None
        )
    return page if isinstance(page, SourceFailure) else None


def _cloud_id(tenant: jira.TenantInfo | SourceFailure) -> str | None:
    return tenant.cloud_id if isinstance(tenant, jira.TenantInfo) else None


def _result(
    failure: SourceFailure | None, endpoint: Endpoint, tenant: jira.TenantInfo | SourceFailure
) -> ConnectionTestResult:
    route = (
        "through Atlassian's gateway: the key has scopes"
        if endpoint.context.gateway
        else "at the site itself"
    )
    message = (
        failure.message
        if failure
        else f"{endpoint.context.organization}: the audit log can be read, {route}."
    )
    return ConnectionTestResult(failure, message, _cloud_id(tenant), endpoint.context.gateway, tenant.date_ms)

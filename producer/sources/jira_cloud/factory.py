"""The Jira Cloud sources of a process, and the clients that they share."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from zlib import crc32

from producer.sources.contract import SourceSetup
from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from producer.sources.jira_cloud.client import open_clients
from producer.sources.jira_cloud.config import JiraCloudConfig
from producer.sources.jira_cloud.request import JiraClient
from producer.sources.jira_cloud.source import JiraCloudSource, throttle_key
from producer.sources.jira_cloud.window_reader import JiraCloudLimits
from producer.sources.throttle import BackoffTiming, RequestSlots, SiteThrottle
from relay.credentials.resolver import CredentialResolver
from relay.organizations import Organization


class JiraCloudSources:
    """The sources of this process's organizations. A site's pause outlives a change of its organization."""

    def __init__(
        self,
        clients: Sequence[JiraClient],
        credentials: CredentialResolver,
        hosts: AllowedHosts,
        now_ms: Callable[[], int],
        *,
        slots: RequestSlots | None = None,
        backoff: BackoffTiming | None = None,
        limits: JiraCloudLimits | None = None,
    ) -> None:
        self._clients = clients
        self._credentials = credentials
        self._hosts = hosts
        self._now_ms = now_ms
        self._slots = slots or RequestSlots()
        self._backoff = backoff or BackoffTiming()
        self._limits = limits or JiraCloudLimits()
        self._throttles: dict[str, SiteThrottle] = {}
        self._sources: dict[str, JiraCloudSource] = {}

    def source_for(self, organization: Organization) -> JiraCloudSource:
        """Return the organization's source: the same as before, unless the organization was modified."""
        source = self._sources.get(organization.name)
        if source is None or source.organization != organization:
            source = self._open(organization)
            self._sources[organization.name] = source
        return source

    def remove(self, organization: str) -> None:
        self._sources.pop(organization, None)

    def _open(self, organization: Organization) -> JiraCloudSource:
        return JiraCloudSource(
            organization,
            self._throttles.setdefault(throttle_key(organization), SiteThrottle()),
            self._slots,
            self._clients[crc32(organization.name.encode()) % len(self._clients)],
            self._credentials,
            self._hosts,
            self._now_ms,
            self._backoff,
            self._limits,
        )


@asynccontextmanager
async def open_jira_cloud(setup: SourceSetup[JiraCloudConfig]) -> AsyncIterator[JiraCloudSources]:
    """Open the clients that all Jira Cloud sites of the process share."""
    config = setup.config
    async with open_clients(setup.slots.total) as clients:
        yield JiraCloudSources(
            clients,
            setup.credentials,
            AllowedHosts(config.gateway_url, config.allowed_hosts),
            setup.now_ms,
            slots=setup.slots,
            backoff=setup.backoff,
        )

"""Whether an organization's Jira lets us in, found out once, before anybody relies on it."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import httpx
from pydantic import SecretStr

from producer.sources.clock_skew import ClockSkew
from producer.sources.errors import ErrorKind, SourceFailure
from producer.sources.jira_cloud import client as jira
from producer.sources.jira_cloud.connection_check import ConnectionCheckResult, check_connection
from relay.config.secrets import SecretsConfig
from relay.credentials.resolver import CredentialResolver
from relay.credentials.url_policy import AllowedHosts
from relay.errors import RelayError, SecretError
from relay.kafka.connection import Connection
from relay.organizations import Organization

TEST_SECONDS = 60.0

_NOT_THERE = {ErrorKind.HOST_UNKNOWN, ErrorKind.UNREACHABLE, ErrorKind.TLS, ErrorKind.REDIRECTED}
_PROMISE = re.compile(r"; (it is asked again|fewer records are asked for)( when that is over)?(?=\.)")


@dataclass(frozen=True, slots=True)
class Means:
    """With what organizations are changed and tried, and on whose account."""

    connection: Connection
    client: httpx.AsyncClient
    hosts: AllowedHosts
    secrets: SecretsConfig
    credentials: CredentialResolver
    who: str
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Trial:
    """What was learned of a connection that works, or could not be tried from here."""

    message: str
    cloud_id: str | None
    gateway: bool
    clock: ClockSkew
    tested: bool = True
    """False: the key is not to be had here, so that only the site was looked for."""


class ConnectionFailedError(RelayError):
    """Jira does not give us the audit log; the message says why and what to do."""


async def try_connection(
    means: Means,
    organization: Organization,
    others: Mapping[str, Organization],
    key: SecretStr | None = None,
) -> Trial:
    """Test with `key`, or the organization's own; refuse a site that is followed already, or that is another than before.

    A reference that points at nothing on this machine is no failure: then only the site is looked for. Raises
    ConnectionFailedError and RelayError.
    """
    means.credentials.verify_reference(asdict(organization))
    try:
        secret = key or means.credentials.resolve(asdict(organization))
    except SecretError as error:
        if organization.credential_reference is None:
            raise
        return await _without_key(means, organization, others, error)
    scoped = key is None and organization.gateway
    sent = means.now_ms()
    found = await _diagnosed(means, organization, secret.get_secret_value(), scoped=scoped)
    _refuse_other_site(organization, found.cloud_id)
    _refuse_known_site(organization, found.cloud_id, others)
    if found.failure is not None:
        raise ConnectionFailedError(_for_once(found.message))
    clock = ClockSkew().observe(sent, means.now_ms(), found.date_ms)
    return Trial(found.message, found.cloud_id, found.gateway, clock)


async def verify(means: Means, organization: Organization, others: Mapping[str, Organization]) -> str:
    """How an organization's connection works, as producers use it. Raises RelayError where it does not, or who knows."""
    trial = await try_connection(means, organization, others)
    if not trial.tested:
        raise RelayError(f"{organization.name}: {trial.message}")
    if trial.gateway and not organization.gateway:
        raise RelayError(
            f"{trial.message} But producers still go to the site: run `jira-relay organizations modify {organization.name}"
            " --gateway`."
        )
    return trial.message


async def _diagnosed(
    means: Means, organization: Organization, key: str, *, scoped: bool
) -> ConnectionCheckResult:
    name, url, user = organization.name, organization.url, organization.user
    try:
        async with asyncio.timeout(TEST_SECONDS):
            return await check_connection(means.client, name, url, user, key, means.hosts, scoped=scoped)
    except TimeoutError:
        raise ConnectionFailedError(
            f"{name}: {url} has not answered within {TEST_SECONDS:.0f} s; check network and proxy."
        ) from None


async def _without_key(
    means: Means, organization: Organization, others: Mapping[str, Organization], why: SecretError
) -> Trial:
    means.hosts.check(organization.url)
    sent = means.now_ms()
    site = await jira.tenant_info(means.client, organization.name, organization.url)
    if isinstance(site, SourceFailure) and site.kind in _NOT_THERE:
        raise ConnectionFailedError(_for_once(site.message))
    cloud_id = site.cloud_id if isinstance(site, jira.TenantInfo) else organization.cloud_id
    _refuse_other_site(organization, cloud_id)
    _refuse_known_site(organization, cloud_id, others)
    message = f"Not tested with the key, which is not to be had here: {why}"
    clock = ClockSkew().observe(sent, means.now_ms(), site.date_ms)
    return Trial(message, cloud_id, organization.gateway, clock, tested=False)


def _refuse_other_site(organization: Organization, cloud_id: str | None) -> None:
    if None not in {cloud_id, organization.cloud_id} and cloud_id != organization.cloud_id:
        raise RelayError(
            f"{organization.name}: behind {organization.url} stands another Jira site than the one that is followed;"
            " add that one as an organization of its own, under another name."
        )


def _refuse_known_site(
    organization: Organization, cloud_id: str | None, others: Mapping[str, Organization]
) -> None:
    for other in others.values():
        if other.name != organization.name and cloud_id is not None and other.cloud_id == cloud_id:
            raise RelayError(
                f"The site at {organization.url} is followed already, as {other.name}: its records would come twice."
            )


def _for_once(message: str) -> str:
    """The message without what only a producer does: nobody asks again here."""
    return _PROMISE.sub("", message)

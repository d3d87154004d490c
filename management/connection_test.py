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

_UNREACHABLE_KINDS = {ErrorKind.HOST_UNKNOWN, ErrorKind.UNREACHABLE, ErrorKind.TLS, ErrorKind.REDIRECTED}
_RETRY_PROMISE = re.compile(
    r"; (the request is repeated|polling resumes after the delay it asked for|the next request asks for fewer records)(?=\.)"
)


@dataclass(frozen=True, slots=True)
class OperatorContext:
    """With what organizations are changed and tried, and on whose account."""

    connection: Connection
    client: httpx.AsyncClient
    hosts: AllowedHosts
    secrets: SecretsConfig
    credentials: CredentialResolver
    who: str
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True)
class ConnectionTestResult:
    """What was learned of a connection that works, or could not be tried from here."""

    message: str
    cloud_id: str | None
    gateway: bool
    skew: ClockSkew
    tested: bool = True
    """False: the key is not to be had here, so that only the site was looked for."""


class ConnectionFailedError(RelayError):
    """Jira does not give us the audit log; the message says why and what to do."""


async def try_connection(
    context: OperatorContext,
    organization: Organization,
    others: Mapping[str, Organization],
    key: SecretStr | None = None,
) -> ConnectionTestResult:
    """Test with `key`, or the organization's own; refuse a site that is followed already, or that is another than before.

    A reference that points at nothing on this machine is no failure: then only the site is looked for. Raises
    ConnectionFailedError and RelayError.
    """
    context.credentials.verify_reference(asdict(organization))
    try:
        secret = key or context.credentials.resolve(asdict(organization))
    except SecretError as error:
        if organization.credential_reference is None:
            raise
        return await _test_without_key(context, organization, others, error)
    scoped = key is None and organization.gateway
    sent = context.now_ms()
    diagnosis = await _diagnose(context, organization, secret.get_secret_value(), scoped=scoped)
    _refuse_other_site(organization, diagnosis.cloud_id)
    _refuse_known_site(organization, diagnosis.cloud_id, others)
    if diagnosis.failure is not None:
        raise ConnectionFailedError(_without_retry_promise(diagnosis.message))
    skew = ClockSkew().observe(sent, context.now_ms(), diagnosis.date_ms)
    return ConnectionTestResult(diagnosis.message, diagnosis.cloud_id, diagnosis.gateway, skew)


async def verify_connection(
    context: OperatorContext, organization: Organization, others: Mapping[str, Organization]
) -> str:
    """How an organization's connection works, as producers use it. Raises RelayError where it does not, or who knows."""
    result = await try_connection(context, organization, others)
    if not result.tested:
        raise RelayError(f"{organization.name}: {result.message}")
    if result.gateway and not organization.gateway:
        raise RelayError(
            f"{result.message} But producers still go to the site: run `jira-relay organizations modify {organization.name}"
            " --gateway`."
        )
    return result.message


async def _diagnose(
    context: OperatorContext, organization: Organization, key: str, *, scoped: bool
) -> ConnectionCheckResult:
    name, url, user = organization.name, organization.url, organization.user
    try:
        async with asyncio.timeout(TEST_SECONDS):
            return await check_connection(context.client, name, url, user, key, context.hosts, scoped=scoped)
    except TimeoutError:
        raise ConnectionFailedError(
            f"{name}: {url} has not answered within {TEST_SECONDS:.0f} s; check network and proxy."
        ) from None


async def _test_without_key(
    context: OperatorContext,
    organization: Organization,
    others: Mapping[str, Organization],
    error: SecretError,
) -> ConnectionTestResult:
    context.hosts.check(organization.url)
    sent = context.now_ms()
    tenant = await jira.tenant_info(context.client, organization.name, organization.url)
    if isinstance(tenant, SourceFailure) and tenant.kind in _UNREACHABLE_KINDS:
        raise ConnectionFailedError(_without_retry_promise(tenant.message))
    cloud_id = tenant.cloud_id if isinstance(tenant, jira.TenantInfo) else organization.cloud_id
    _refuse_other_site(organization, cloud_id)
    _refuse_known_site(organization, cloud_id, others)
    message = f"Not tested with the key, which is not to be had here: {error}"
    skew = ClockSkew().observe(sent, context.now_ms(), tenant.date_ms)
    return ConnectionTestResult(message, cloud_id, organization.gateway, skew, tested=False)


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


def _without_retry_promise(message: str) -> str:
    """The message without what only a producer does: nobody asks again here."""
    return _RETRY_PROMISE.sub("", message)

"""The connection test of an organization: does its source return audit records for this URL, user and key?"""

import asyncio
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pydantic import SecretStr

from management.context import OperatorContext
from producer.sources.clock_skew import ClockSkew
from producer.sources.contract import ConnectionTestResult
from producer.sources.errors import ErrorKind, SourceFailure
from relay.errors import RelayError, SecretError
from relay.organizations import Organization

_LOCAL_KINDS = {
    ErrorKind.HOST_UNKNOWN,
    ErrorKind.UNREACHABLE,
    ErrorKind.TLS,
    ErrorKind.REDIRECTED,
    ErrorKind.RATE_LIMITED,
    ErrorKind.UNAVAILABLE,
    ErrorKind.BROKEN_ANSWER,
}
"""Faults of one attempt, or of this machine's network: they say little about the services'."""
_RETRY_PROMISE = re.compile(
    r"; (the request is repeated|polling resumes after the delay it asked for|the next request asks for fewer records)(?=\.)"
)


@dataclass(frozen=True, slots=True)
class AcceptedConnection:
    """Result of a connection that works, or of one whose key is not available on this machine."""

    message: str
    cloud_id: str | None
    gateway: bool
    skew: ClockSkew
    tested: bool = True
    """False: the key is not available here, so only the site was tested."""


class ConnectionFailedError(RelayError):
    """The source returns no audit records; the message has the cause and the remedy."""


class DuplicateOrganizationError(RelayError):
    """The site, or the name, is that of an organization that exists. `other`: its name."""

    def __init__(self, other: str, text: str) -> None:
        self.other = other
        super().__init__(text)


class LocalFaultError(ConnectionFailedError):
    """The cause may be this machine alone: its network, or a key that is not available on it."""


async def try_connection(
    context: OperatorContext,
    organization: Organization,
    others: Mapping[str, Organization],
    key: SecretStr | None = None,
) -> AcceptedConnection:
    """Test the connection with `key`. None: with the organization's own key.

    A reference that cannot be resolved on this machine is not a failure: then only the site is tested. Raises
    ConnectionFailedError when the source returns no audit records, and RelayError for a site that is already polled as
    another organization, or for another site than before.
    """
    context.credentials.verify_reference(asdict(organization))
    secret, unavailable = key, None
    try:
        if key is None:
            await context.credentials.prepare(asdict(organization))
        secret = key or context.credentials.resolve(asdict(organization))
    except SecretError as error:
        if organization.credential_reference is None:
            raise
        unavailable = error
    sent = context.now_ms()
    result = await _run(context, organization, secret, new_key=key is not None)
    _refuse_other_site(organization, result.cloud_id)
    _refuse_known_site(organization, result.cloud_id, others)
    if result.failure is not None:
        raise _test_error(result.failure, result.message)
    skew = ClockSkew().observe(sent, context.now_ms(), result.date_ms)
    message = (
        result.message
        if unavailable is None
        else f"Only the site was tested, because the API key is not available here: {unavailable}"
    )
    return AcceptedConnection(message, result.cloud_id, result.gateway, skew, tested=unavailable is None)


async def verify_connection(
    context: OperatorContext, organization: Organization, others: Mapping[str, Organization]
) -> str:
    """Test the stored organization as producers use it; return a sentence. Raises RelayError when it fails or cannot be tested."""
    result = await try_connection(context, organization, others)
    if not result.tested:
        raise LocalFaultError(f"{organization.name}: {result.message}")
    if result.gateway and not organization.gateway:
        raise RelayError(
            f"{result.message} Producers still send the key to the site itself; run"
            f" `jira-relay organizations modify {shlex.quote(organization.name)} --gateway`."
        )
    return result.message


async def _run(
    context: OperatorContext, organization: Organization, key: SecretStr | None, *, new_key: bool
) -> ConnectionTestResult:
    seconds = context.timing.connection_test_seconds
    secret = None if key is None else key.get_secret_value()
    try:
        async with asyncio.timeout(seconds):
            return await context.connection_test.run(organization, secret, new_key=new_key)
    except TimeoutError:
        raise LocalFaultError(
            f"{organization.name}: {organization.url} did not answer within {seconds:g} s; check network and proxy."
        ) from None


def _test_error(failure: SourceFailure, message: str) -> ConnectionFailedError:
    kind = LocalFaultError if failure.kind in _LOCAL_KINDS else ConnectionFailedError
    return kind(_without_retry_promise(message, failure.retry_after_seconds))


def _refuse_other_site(organization: Organization, cloud_id: str | None) -> None:
    if None not in {cloud_id, organization.cloud_id} and cloud_id != organization.cloud_id:
        raise RelayError(
            f"{organization.name}: {organization.url} is another site than before; add that site as a new organization,"
            " under another name."
        )


def _refuse_known_site(
    organization: Organization, cloud_id: str | None, others: Mapping[str, Organization]
) -> None:
    for other in others.values():
        if other.name != organization.name and cloud_id is not None and other.cloud_id == cloud_id:
            raise DuplicateOrganizationError(
                other.name,
                f"The site at {organization.url} is already polled as {other.name}, and a second organization would duplicate"
                f" its records. Change {other.name} with `jira-relay organizations modify {shlex.quote(other.name)} …` instead.",
            )


def _without_retry_promise(message: str, wait_seconds: float | None) -> str:
    """Return the message without the promise that the request is repeated: only a producer repeats it.

    `wait_seconds`: the wait that the source asks for; None: it asks for none.
    """
    attempt = "" if wait_seconds is None else f"; try again in {math.ceil(wait_seconds)} s"
    return _RETRY_PROMISE.sub(attempt, message)

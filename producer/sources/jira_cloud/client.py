"""One call to Jira each; a fault is a value. Nothing here retries or waits for a turn."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import orjson

from producer.sources.errors import ErrorKind, RequestContext, SourceFailure
from producer.sources.jira_cloud.auth import Endpoint, is_cloud_id
from producer.sources.jira_cloud.messages import make_failure
from producer.sources.jira_cloud.page import NotAPage, Page, parse_page, parse_page_quickly
from producer.sources.jira_cloud.request import LIMITS, JiraClient, RequestLimits, get
from relay import timestamps
from relay.direct_transport import KeptConnections
from relay.http import create_tls_context, open_transport
from relay.url_policy import split_url

CLIENT_COUNT = 128
"""Each request looks at every connection of its client, twice."""
KEEPALIVE_CONNECTIONS = 2
"""Of each client, and of each proxy."""
KEEPALIVE_SECONDS = 2.0
"""Long enough for the pages of one window; before an organization's next round come thousands of others."""
QUICK_BYTES = 256 * 1024
"""The largest body that is parsed on the event loop, in about two milliseconds."""
KEPT = KeptConnections(KEEPALIVE_CONNECTIONS, KEEPALIVE_SECONDS)
_PARSERS = ThreadPoolExecutor(2, "parse a page")
"""Threads of their own: those of the loop may all wait for DNS."""
AUDIT_PATH = "/rest/api/3/auditing/record"


ReadBroken = Callable[[bytes, int], Page | None]
"""Reads a body that is no page, in answer to a request for so many records. None: it is a failure."""


def read_nothing(_body: bytes, _limit: int) -> None:
    """Take each body that is no page for a failure."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that the key belongs to."""

    account_id: str


@dataclass(frozen=True, slots=True)
class TenantInfo:
    """The site behind a URL, by Atlassian's id. `date_ms`: its clock, from the Date header, in whole seconds."""

    cloud_id: str
    date_ms: int | None = None


def open_client(connections: int = 100, tls_context: ssl.SSLContext | None = None) -> JiraClient:
    """Open a client for any site. `connections`: at most, through one proxy.

    Requests in clear go to this machine alone, so they use no proxy. Raises SettingsError for variables of a proxy or of CA
    certificates that cannot be used.
    """
    limits = httpx.Limits(
        max_connections=connections,
        max_keepalive_connections=KEEPALIVE_CONNECTIONS,
        keepalive_expiry=KEEPALIVE_SECONDS,
    )
    return open_transport(tls_context, limits, 2 * LIMITS.max_bytes, KEPT)


@asynccontextmanager
async def open_clients(connections: int) -> AsyncIterator[Sequence[JiraClient]]:
    """Open clients to share among thousands of sites, each with a pool of its own.

    httpx looks at every connection of a pool whenever a request takes one; one pool for all would be slower than Jira.
    """
    tls_context = create_tls_context()
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_client(connections, tls_context))
            for _ in range(CLIENT_COUNT)
        ]


async def fetch_page(
    client: JiraClient,
    endpoint: Endpoint,
    from_ms: int,
    until_ms: int,
    offset: int,
    limit: int,
    *,
    limits: RequestLimits = LIMITS,
    read_broken: ReadBroken = read_nothing,
) -> Page | SourceFailure:
    """Fetch at most `limit` records created from `from_ms` to `until_ms`, both inclusive, newest first."""
    query = {"from": timestamps.to_iso(from_ms), "to": timestamps.to_iso(until_ms)}
    return await _fetch_records(
        client, endpoint, query | {"offset": str(offset), "limit": str(limit)}, limits, read_broken
    )


async def probe(
    client: JiraClient,
    endpoint: Endpoint,
    offset: int = 0,
    count: int = 1,
    *,
    limits: RequestLimits = LIMITS,
    read_broken: ReadBroken = read_nothing,
) -> Page | SourceFailure:
    """Fetch the `count` newest records, asking without dates; at offset `total - 1` the oldest."""
    query = {"offset": str(offset), "limit": str(count)}
    return await _fetch_records(client, endpoint, query, limits, read_broken)


async def myself(
    client: JiraClient, endpoint: Endpoint, *, limits: RequestLimits = LIMITS
) -> Account | SourceFailure:
    """Fetch the account of the key. SCOPE_MISSING proves a known key too: the gateway checks the key before its scopes."""
    url = endpoint.base_url + "/rest/api/3/myself"
    response = await get(client, url, endpoint.context, limits, endpoint=endpoint)
    if isinstance(response, SourceFailure):
        return response
    account_id = _string_member(response.body, "accountId")
    if account_id is None:
        return make_failure(ErrorKind.BROKEN_ANSWER, endpoint.context, quote="it names no account")
    return Account(account_id)


async def tenant_info(
    client: JiraClient, organization: str, url: str, *, limits: RequestLimits = LIMITS
) -> TenantInfo | SourceFailure:
    """Fetch the id of the site behind a URL; no credential is sent."""
    context = RequestContext(organization, split_url(url)[0].authority)
    response = await get(client, url.rstrip("/") + "/_edge/tenant_info", context, limits)
    if isinstance(response, SourceFailure):
        return response
    cloud_id = _string_member(response.body, "cloudId")
    if cloud_id is None or not is_cloud_id(cloud_id):
        return make_failure(ErrorKind.NOT_THE_API, context, status=response.status)
    return TenantInfo(cloud_id, response.date_ms)


async def _fetch_records(
    client: JiraClient,
    endpoint: Endpoint,
    query: dict[str, str],
    limits: RequestLimits,
    read_broken: ReadBroken,
) -> Page | SourceFailure:
    url = endpoint.base_url + AUDIT_PATH
    response = await get(client, url, endpoint.context, limits, endpoint=endpoint, query=query)
    if isinstance(response, SourceFailure):
        return response
    page = await _parse(response.body)
    if isinstance(page, NotAPage):
        salvaged = await asyncio.get_running_loop().run_in_executor(
            _PARSERS, read_broken, response.body, int(query["limit"])
        )
        if salvaged is not None:
            return replace(salvaged, date_ms=response.date_ms)
        return make_failure(ErrorKind.BROKEN_ANSWER, endpoint.context, quote=page.reason)
    return replace(page, date_ms=response.date_ms)


async def _parse(body: bytes) -> Page | NotAPage:
    """Parse a page without holding up the loop: a large page, and one that must be read exactly, in a thread."""
    if len(body) <= QUICK_BYTES and (page := parse_page_quickly(body)) is not None:
        return page
    return await asyncio.get_running_loop().run_in_executor(_PARSERS, parse_page, body)


def _string_member(body: bytes, name: str) -> str | None:
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None

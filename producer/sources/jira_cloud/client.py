"""One call to Jira each: what came of it is the value returned. Nothing is retried, nobody waits."""

import asyncio
import http.cookiejar
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from importlib.metadata import version

import httpx
import orjson

from producer.sources.errors import ErrorKind, RequestTarget, SourceFailure, make_failure
from producer.sources.jira_cloud.auth import Endpoint, is_cloud_id
from producer.sources.jira_cloud.page import NotAPage, Page, parse_page
from producer.sources.jira_cloud.response import JiraResponse, classify
from relay import timestamps
from relay.credentials.url_policy import split_url
from relay.http import LOOPBACK_WITHOUT_PROXY
from relay.timestamps import now_ms

REQUEST_SECONDS = 60.0
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
CLIENT_COUNT = 32
KEEPALIVE_CONNECTIONS = 8
KEEPALIVE_SECONDS = 2.0
"""For the pages of one window: by an organization's next round thousands of others have been asked."""
MOST_BYTES = 64 * 1024 * 1024
AUDIT_PATH = "/rest/api/3/auditing/record"


@dataclass(frozen=True, slots=True)
class Account:
    """Who the key belongs to."""

    account_id: str


@dataclass(frozen=True, slots=True)
class TenantInfo:
    """The site behind a URL, by Atlassian's own id. `date_ms` is its clock, by its header, in whole seconds."""

    cloud_id: str
    date_ms: int | None = None


def open_client(connections: int = 100, tls_context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client for any site. It keeps no cookies: a session of one organization must not answer for another.

    What goes in clear goes to this machine, and so by no proxy.
    """
    return httpx.AsyncClient(
        verify=tls_context or httpx.create_ssl_context(),
        follow_redirects=False,
        timeout=TIMEOUT,
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=KEEPALIVE_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_SECONDS,
        ),
        headers={
            "Accept": "application/json",
            "User-Agent": f"jira-audit-relay/{version('jira-audit-relay')}",
        },
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        mounts={"http://": None, **LOOPBACK_WITHOUT_PROXY},
    )


@asynccontextmanager
async def open_clients(connections: int) -> AsyncIterator[Sequence[httpx.AsyncClient]]:
    """Clients to share among thousands of sites, each with its own pool: httpx looks at every connection of a pool whenever one
    is asked for, so that one pool for all takes longer than Jira.
    """
    tls_context = httpx.create_ssl_context()
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_client(connections, tls_context))
            for _ in range(CLIENT_COUNT)
        ]


async def fetch_page(
    client: httpx.AsyncClient, endpoint: Endpoint, from_ms: int, until_ms: int, offset: int, limit: int
) -> Page | SourceFailure:
    """Records created from `from_ms` to `until_ms`, both inclusive, newest first."""
    query = {"from": timestamps.to_iso(from_ms), "to": timestamps.to_iso(until_ms)}
    return await _fetch_records(client, endpoint, query | {"offset": str(offset), "limit": str(limit)})


async def probe(client: httpx.AsyncClient, endpoint: Endpoint, offset: int = 0) -> Page | SourceFailure:
    """The newest record, asked for without dates; at `total - 1` the oldest."""
    return await _fetch_records(client, endpoint, {"offset": str(offset), "limit": "1"})


async def myself(client: httpx.AsyncClient, endpoint: Endpoint) -> Account | SourceFailure:
    """Whether Jira knows us. A SCOPE_MISSING proves it too: the gateway knows the key before it looks at scopes."""
    response = await _get(
        client, endpoint.base_url + "/rest/api/3/myself", endpoint.target, endpoint=endpoint
    )
    if isinstance(response, SourceFailure):
        return response
    account_id = _string_member(response.body, "accountId")
    if account_id is None:
        return make_failure(ErrorKind.BROKEN_ANSWER, endpoint.target, quote="it names no account")
    return Account(account_id)


async def tenant_info(client: httpx.AsyncClient, organization: str, url: str) -> TenantInfo | SourceFailure:
    """Which site is behind a URL; no credential is sent."""
    target = RequestTarget(organization, split_url(url)[0].authority)
    response = await _get(client, url.rstrip("/") + "/_edge/tenant_info", target)
    if isinstance(response, SourceFailure):
        return response
    cloud_id = _string_member(response.body, "cloudId")
    if cloud_id is None or not is_cloud_id(cloud_id):
        return make_failure(ErrorKind.NOT_JIRA, target, status=response.status)
    return TenantInfo(cloud_id, response.date_ms)


async def _fetch_records(
    client: httpx.AsyncClient, endpoint: Endpoint, query: dict[str, str]
) -> Page | SourceFailure:
    response = await _get(
        client, endpoint.base_url + AUDIT_PATH, endpoint.target, endpoint=endpoint, query=query
    )
    if isinstance(response, SourceFailure):
        return response
    page = parse_page(response.body)
    if isinstance(page, NotAPage):
        return make_failure(ErrorKind.BROKEN_ANSWER, endpoint.target, quote=page.reason)
    return replace(page, date_ms=response.date_ms)


async def _get(
    client: httpx.AsyncClient,
    url: str,
    target: RequestTarget,
    *,
    endpoint: Endpoint | None = None,
    query: dict[str, str] | None = None,
) -> JiraResponse | SourceFailure:
    headers = {} if endpoint is None else {"Authorization": endpoint.authorization}
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            response = await _read_response(client, url, headers, query)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return _transport_failure(error, target)
    if response is None:
        return make_failure(ErrorKind.TOO_LARGE, target, quote=f"more than {MOST_BYTES} bytes")
    redact = str if endpoint is None else endpoint.redact
    return classify(response, target, now_ms(), redact) or response


async def _read_response(
    client: httpx.AsyncClient, url: str, headers: dict[str, str], query: dict[str, str] | None
) -> JiraResponse | None:
    """The whole answer; None where it is larger than anything that could be a page."""
    body = bytearray()
    async with client.stream("GET", url, headers=headers, params=query, follow_redirects=False) as response:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                return None
        return JiraResponse(
            response.status_code, response.headers, bytes(body), _date_ms(response.headers.get("Date"))
        )


def _transport_failure(error: Exception, target: RequestTarget) -> SourceFailure:
    causes = list(_exception_chain(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return make_failure(ErrorKind.HOST_UNKNOWN, target)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return make_failure(ErrorKind.TLS, target, quote=cause.verify_message)
        if isinstance(cause, ssl.SSLError):
            return make_failure(ErrorKind.UNREACHABLE, target, quote=f"TLS failed, {cause.reason}")
    if isinstance(error, httpx.DecodingError):
        return make_failure(ErrorKind.BROKEN_ANSWER, target, quote="it cannot be unpacked")
    return make_failure(
        ErrorKind.UNREACHABLE, target, quote=_TRANSPORT_ERRORS.get(type(error), type(error).__name__)
    )


_TRANSPORT_ERRORS: dict[type[Exception], str] = {
    TimeoutError: f"no whole answer within {REQUEST_SECONDS:.0f} s",
    httpx.ConnectTimeout: "no connection in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.PoolTimeout: "too many connections are open already",
    httpx.ConnectError: "the connection was refused or cut",
    httpx.ReadError: "the connection was cut",
    httpx.RemoteProtocolError: "the answer was cut off",
    httpx.ProxyError: "the proxy refuses",
}


def _exception_chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _date_ms(text: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(text or "").timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _string_member(body: bytes, name: str) -> str | None:
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None

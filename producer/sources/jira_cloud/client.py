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

from producer.sources.errors import Asked, Failure, Kind, failure
from producer.sources.jira_cloud.auth import Access, is_cloud_id
from producer.sources.jira_cloud.page import NotAPage, Page, parse_page
from producer.sources.jira_cloud.response import Answer, judge
from relay import timestamps
from relay.credentials.url_policy import split_url
from relay.timestamps import now_ms

TOTAL_SECONDS = 60.0
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
CLIENTS = 32
KEPT_CONNECTIONS = 8
KEPT_SECONDS = 2.0
"""For the pages of one walk: by an organization's next round thousands of others have been asked."""
MOST_BYTES = 64 * 1024 * 1024
AUDIT = "/rest/api/3/auditing/record"


@dataclass(frozen=True, slots=True)
class Account:
    """Who the key belongs to."""

    account_id: str


@dataclass(frozen=True, slots=True)
class Site:
    """The site behind a URL, by Atlassian's own id. `date_ms` is its clock, by its header, in whole seconds."""

    cloud_id: str
    date_ms: int | None = None


def open_client(connections: int = 100, trust: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client for any site. It keeps no cookies: a session of one organization must not answer for another.

    What goes in clear goes to this machine, and so by no proxy.
    """
    return httpx.AsyncClient(
        verify=trust or httpx.create_ssl_context(),
        follow_redirects=False,
        timeout=TIMEOUT,
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=KEPT_CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
        ),
        headers={
            "Accept": "application/json",
            "User-Agent": f"jira-audit-relay/{version('jira-audit-relay')}",
        },
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        mounts=dict.fromkeys(("http://", *(f"all://{host}" for host in ("127.0.0.1", "localhost", "[::1]")))),
    )


@asynccontextmanager
async def open_clients(connections: int) -> AsyncIterator[Sequence[httpx.AsyncClient]]:
    """Clients to share among thousands of sites, each with its own pool: httpx looks at every connection of a pool whenever one
    is asked for, so that one pool for all takes longer than Jira.
    """
    trust = httpx.create_ssl_context()
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_client(connections, trust)) for _ in range(CLIENTS)]


async def fetch_page(
    client: httpx.AsyncClient, access: Access, from_ms: int, until_ms: int, offset: int, limit: int
) -> Page | Failure:
    """Records created from `from_ms` to `until_ms`, both inclusive, newest first."""
    query = {"from": timestamps.to_text(from_ms), "to": timestamps.to_text(until_ms)}
    return await _fetch(client, access, query | {"offset": str(offset), "limit": str(limit)})


async def probe(client: httpx.AsyncClient, access: Access, offset: int = 0) -> Page | Failure:
    """The newest record, asked for without dates; at `total - 1` the oldest."""
    return await _fetch(client, access, {"offset": str(offset), "limit": "1"})


async def myself(client: httpx.AsyncClient, access: Access) -> Account | Failure:
    """Whether Jira knows us. A SCOPE_MISSING proves it too: the gateway knows the key before it looks at scopes."""
    answer = await _get(client, access.base_url + "/rest/api/3/myself", access.asked, access=access)
    if isinstance(answer, Failure):
        return answer
    account_id = _member(answer.body, "accountId")
    if account_id is None:
        return failure(Kind.BROKEN_ANSWER, access.asked, words="it names no account")
    return Account(account_id)


async def tenant_info(client: httpx.AsyncClient, organization: str, url: str) -> Site | Failure:
    """Which site is behind a URL; no credential is sent."""
    asked = Asked(organization, split_url(url)[0].authority)
    answer = await _get(client, url.rstrip("/") + "/_edge/tenant_info", asked)
    if isinstance(answer, Failure):
        return answer
    cloud_id = _member(answer.body, "cloudId")
    if cloud_id is None or not is_cloud_id(cloud_id):
        return failure(Kind.NOT_JIRA, asked, status=answer.status)
    return Site(cloud_id, answer.date_ms)


async def _fetch(client: httpx.AsyncClient, access: Access, query: dict[str, str]) -> Page | Failure:
    answer = await _get(client, access.base_url + AUDIT, access.asked, access=access, query=query)
    if isinstance(answer, Failure):
        return answer
    page = parse_page(answer.body)
    if isinstance(page, NotAPage):
        return failure(Kind.BROKEN_ANSWER, access.asked, words=page.reason)
    return replace(page, date_ms=answer.date_ms)


async def _get(
    client: httpx.AsyncClient,
    url: str,
    asked: Asked,
    *,
    access: Access | None = None,
    query: dict[str, str] | None = None,
) -> Answer | Failure:
    headers = {} if access is None else {"Authorization": access.authorization}
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            answer = await _read(client, url, headers, query)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return _unanswered(error, asked)
    if answer is None:
        return failure(Kind.TOO_LARGE, asked, words=f"more than {MOST_BYTES} bytes")
    scrub = str if access is None else access.scrub
    return judge(answer, asked, now_ms(), scrub) or answer


async def _read(
    client: httpx.AsyncClient, url: str, headers: dict[str, str], query: dict[str, str] | None
) -> Answer | None:
    """The whole answer; None where it is larger than anything that could be a page."""
    body = bytearray()
    async with client.stream("GET", url, headers=headers, params=query, follow_redirects=False) as response:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                return None
        return Answer(
            response.status_code, response.headers, bytes(body), _date(response.headers.get("Date"))
        )


def _unanswered(error: Exception, asked: Asked) -> Failure:
    causes = list(_chain(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return failure(Kind.HOST_UNKNOWN, asked)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return failure(Kind.TLS, asked, words=cause.verify_message)
        if isinstance(cause, ssl.SSLError):
            return failure(Kind.UNREACHABLE, asked, words=f"TLS failed, {cause.reason}")
    if isinstance(error, httpx.DecodingError):
        return failure(Kind.BROKEN_ANSWER, asked, words="it cannot be unpacked")
    return failure(Kind.UNREACHABLE, asked, words=_IN_WORDS.get(type(error), type(error).__name__))


_IN_WORDS: dict[type[Exception], str] = {
    TimeoutError: f"no whole answer within {TOTAL_SECONDS:.0f} s",
    httpx.ConnectTimeout: "no connection in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.PoolTimeout: "too many connections are open already",
    httpx.ConnectError: "the connection was refused or cut",
    httpx.ReadError: "the connection was cut",
    httpx.RemoteProtocolError: "the answer was cut off",
    httpx.ProxyError: "the proxy refuses",
}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _date(text: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(text or "").timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _member(body: bytes, name: str) -> str | None:
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None

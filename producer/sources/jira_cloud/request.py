"""One GET to Jira: an answer, or why there is none."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from urllib.parse import urlencode

import httpx

from producer.sources.errors import ErrorKind, RequestContext, SourceFailure
from producer.sources.jira_cloud.auth import Endpoint
from producer.sources.jira_cloud.messages import make_failure
from producer.sources.jira_cloud.response import JiraResponse, classify
from relay import timestamps
from relay.http import ProxyUnreachableError
from relay.name_resolution import lookups_for
from relay.telemetry.traces.span import OpenSpan, SpanKind
from relay.telemetry.traces.tracer import open_span
from relay.timestamps import now_ms


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds of one request: seconds to its whole answer, and bytes of the body after decompression."""

    seconds: float = 60.0
    max_bytes: int = 64 * 1024 * 1024


LIMITS = RequestLimits()
_TIMEOUTS = {"timeout": httpx.Timeout(30.0, connect=10.0).as_dict()}

JiraClient = httpx.AsyncBaseTransport
"""The client of any site is a transport alone: it keeps no cookies, since a session of one organization must not answer for
another, follows no redirects, and spends no time on either."""


@cache
def _headers() -> dict[str, str]:
    """Return the headers of each request; the version of the relay is read from a file."""
    return {"Accept": "application/json", "User-Agent": f"jira-audit-relay/{version('jira-audit-relay')}"}


async def get(
    client: JiraClient,
    url: str,
    context: RequestContext,
    limits: RequestLimits,
    *,
    endpoint: Endpoint | None = None,
    query: dict[str, str] | None = None,
) -> JiraResponse | SourceFailure:
    """Make one request, and record it in the trace of the task, if there is one."""
    with open_span("GET", SpanKind.CLIENT, {"http.request.method": "GET"}) as span:
        if span is not None:
            span.attributes |= {"server.address": context.host, "url.full": f"{url}?{urlencode(query or {})}"}
        found = await _get(client, url, context, limits, endpoint, query, span)
        if span is not None and isinstance(found, SourceFailure):
            span.error = found.kind
        return found


async def _get(
    client: JiraClient,
    url: str,
    context: RequestContext,
    limits: RequestLimits,
    endpoint: Endpoint | None,
    query: dict[str, str] | None,
    span: OpenSpan | None,
) -> JiraResponse | SourceFailure:
    headers = {} if endpoint is None else {"Authorization": endpoint.authorization}
    try:
        with lookups_for("source"):  # a site without an answer of DNS holds up no broker and no destination
            async with asyncio.timeout(limits.seconds):
                response = await _read_response(client, url, headers, query, limits.max_bytes)
    except TimeoutError:
        return make_failure(
            ErrorKind.UNREACHABLE, context, quote=f"no whole answer within {limits.seconds:.0f} s"
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return _transport_failure(error, context)
    if response is None:
        return make_failure(ErrorKind.TOO_LARGE, context, quote=f"more than {limits.max_bytes} bytes")
    if span is not None:
        span.attributes["http.response.status_code"] = response.status
    redact = str if endpoint is None else endpoint.redact
    return classify(response, context, now_ms(), redact) or response


async def _read_response(
    client: JiraClient,
    url: str,
    headers: dict[str, str],
    query: dict[str, str] | None,
    max_bytes: int,
) -> JiraResponse | None:
    """Read the whole answer. None: its body has more than `max_bytes`."""
    body = bytearray()
    whole = f"{url}?{urlencode(query)}" if query else url
    request = httpx.Request("GET", whole, headers=_headers() | headers, extensions=_TIMEOUTS)
    async with aclosing(await client.handle_async_request(request)) as response:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > max_bytes:
                return None
        return JiraResponse(
            response.status_code,
            response.headers,
            bytes(body),
            timestamps.parse_http_date(response.headers.get("Date")),
        )


def _transport_failure(error: Exception, context: RequestContext) -> SourceFailure:
    if isinstance(error, ProxyUnreachableError):
        return make_failure(ErrorKind.UNREACHABLE, context, quote=str(error))
    causes = list(_exception_chain(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return make_failure(ErrorKind.HOST_UNKNOWN, context)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return make_failure(ErrorKind.TLS, context, quote=cause.verify_message)
        if isinstance(cause, ssl.SSLError):
            return make_failure(ErrorKind.UNREACHABLE, context, quote=f"TLS failed, {cause.reason}")
    if isinstance(error, httpx.DecodingError):
        return make_failure(ErrorKind.BROKEN_ANSWER, context, quote="it cannot be decompressed")
    return make_failure(
        ErrorKind.UNREACHABLE, context, quote=_TRANSPORT_ERRORS.get(type(error), type(error).__name__)
    )


_TRANSPORT_ERRORS: dict[type[Exception], str] = {
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

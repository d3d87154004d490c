"""The HTTP interface of a simulated site: authentication, limits and responses."""

import json
import math
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from aiohttp import web

from simulators.jira_cloud import responses
from simulators.jira_cloud.access import AUDIT_SCOPES, MYSELF_SCOPES, Grant
from simulators.jira_cloud.log import AuditLogEntry, Selection
from simulators.jira_cloud.query import Query, QueryError, parse_query
from simulators.jira_cloud.quirks import Quirks
from simulators.jira_cloud.requests import EXCHANGE, Exchange, LoggedRequest
from simulators.jira_cloud.responses import CannedResponse, error_collection
from simulators.jira_cloud.site import SimulatedSite

_REST = re.compile(r"/rest/api/(?:2|3|latest)/(auditing/record|myself|serverInfo)/?")


async def serve(site: SimulatedSite, request: web.Request, path: str, *, gateway: bool) -> web.StreamResponse:
    """Answer a request to a site. `path` is the part behind the base URL of the site or of the gateway."""
    at = time.monotonic()
    date = site.now()
    request[EXCHANGE] = Exchange(date)

    async def serve_normally() -> web.Response:
        response = _respond(site, request, path, gateway=gateway)
        response.headers.setdefault("Date", http_date(date))
        return response

    fault = site.script.next_fault(request)
    response: web.StreamResponse | None = None
    try:
        response = await (fault.play(request, serve_normally) if fault else serve_normally())
    finally:
        name = fault.name if fault else None
        site.request_log.append(_log_request(at, request, response, gateway=gateway, fault=name))
    _add_common_headers(request, response, date)
    return response


def http_date(at: int) -> str:
    """Return an instant (ms UTC) as an HTTP date."""
    return format_datetime(datetime.fromtimestamp(at / 1000, UTC), usegmt=True)


def _respond(site: SimulatedSite, request: web.Request, path: str, *, gateway: bool) -> web.Response:
    if path == "/_edge/tenant_info" and not gateway:
        return web.json_response({"cloudId": site.cloud_id})
    match = _REST.fullmatch(path)
    if match is None:
        return responses.NOT_FOUND.to_response()
    if request.method not in ("GET", "HEAD"):
        return error_collection(405, "Method Not Allowed", {"Allow": "GET"}).to_response()
    if match[1] == "serverInfo":
        return web.json_response(_server_info(site))
    grant = _authenticate(site, request, gateway=gateway, audit=match[1] == "auditing/record")
    if isinstance(grant, CannedResponse):
        return grant.to_response()
    request[EXCHANGE].user = grant.user
    if match[1] == "myself":
        return web.json_response(_myself(site, grant))
    return _serve_audit_records(site, request, grant, gateway=gateway)


def _authenticate(
    site: SimulatedSite, request: web.Request, *, gateway: bool, audit: bool
) -> Grant | CannedResponse:
    authorization = request.headers.get("Authorization")
    if gateway:
        return site.access.authenticate_at_gateway(authorization, AUDIT_SCOPES if audit else MYSELF_SCOPES)
    grant = site.access.authenticate_at_site(authorization)
    if grant is responses.WRONG_CREDENTIALS and audit and site.quirks.anonymous_when_refused:
        return responses.ANONYMOUS
    return grant


def _serve_audit_records(
    site: SimulatedSite, request: web.Request, grant: Grant, *, gateway: bool
) -> web.Response:
    if site.quirks.free_plan:
        return responses.FREE_PLAN.to_response()
    if not grant.administrator:
        return responses.NOT_ADMINISTRATOR.to_response()
    quirks = site.quirks
    try:
        query = parse_query(
            request.query,
            zone=None if gateway else quirks.zone,
            equal_bounds_match=quirks.equal_bounds_match,
        )
    except QueryError as error:
        return error_collection(400, str(error)).to_response()
    wait = site.token_bucket.take(quirks.requests_per_second)
    if wait:
        headers = {"Retry-After": str(math.ceil(wait)), "RateLimit-Reason": "jira-burst-based"}
        return error_collection(429, "Rate limit exceeded.", headers).to_response()
    site.advance()
    page = _select_page(site, query)
    if quirks.failing_records.intersection(entry.id for entry in page):
        return error_collection(500, "Internal server error").to_response()
    request[EXCHANGE].records = len(page)
    site.count_page()
    body = _render_page(site, query, page)
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def _select_page(site: SimulatedSite, query: Query) -> Sequence[AuditLogEntry]:
    quirks = site.quirks
    selection = query.selection and query.selection.shifted(round(quirks.query_shift_seconds * 1000))
    found = site.log.select(selection) if selection else ()
    if quirks.misplaced_records:
        everywhere = [entry for entry in site.log.select(Selection()) if entry.id in quirks.misplaced_records]
        found = [*(entry for entry in found if entry.id not in quirks.misplaced_records), *everywhere]
    limit = min(query.limit, quirks.max_limit)
    size = limit if quirks.page_cap is None else min(limit, quirks.page_cap)
    return _with_repeats(found, quirks)[query.offset : query.offset + size]


def _render_page(site: SimulatedSite, query: Query, page: Sequence[AuditLogEntry]) -> bytes:
    quirks = site.quirks
    limit = min(query.limit, quirks.max_limit)
    envelope = {
        "offset": query.offset,
        "limit": limit if quirks.echo_clamped_limit else query.limit,
        "total": site.log.total if quirks.reported_total is None else quirks.reported_total,
    }
    head = json.dumps(envelope, separators=(",", ":")).encode()[:-1]
    return head + b',"records":[' + b",".join(_served(entry, quirks) for entry in page) + b"]}"


def _served(entry: AuditLogEntry, quirks: Quirks) -> bytes:
    spoil = quirks.broken_records.get(entry.id)
    return entry.raw if spoil is None else spoil(entry.raw)


def _with_repeats(found: Sequence[AuditLogEntry], quirks: Quirks) -> Sequence[AuditLogEntry]:
    every = quirks.repeat_ids_divisible_by
    if every is None:
        return found
    return [row for entry in found for row in ([entry] * 2 if entry.id % every == 0 else [entry])]


def _server_info(site: SimulatedSite) -> dict[str, Any]:
    return {
        "baseUrl": site.url,
        "version": "1001.0.0-SNAPSHOT",
        "versionNumbers": [1001, 0, 0],
        "deploymentType": "Cloud",
        "buildNumber": 100300,
        "serverTitle": "Jira",
    }


def _myself(site: SimulatedSite, grant: Grant) -> dict[str, Any]:
    return {
        "self": f"{site.url}/rest/api/3/user?accountId=712020:{site.cloud_id}",
        "accountId": f"712020:{site.cloud_id}",
        "accountType": "atlassian",
        "emailAddress": grant.user,
        "displayName": "Audit Relay",
        "active": True,
        "timeZone": "Etc/UTC",
        "locale": "en_US",
    }


def _add_common_headers(request: web.Request, response: web.StreamResponse, date: int) -> None:
    """Add the headers of every answer of Jira, also to faults, unless the answer is already being sent."""
    if response.prepared:
        return
    response.headers.setdefault("Date", http_date(date))
    response.headers.setdefault("Server", "AtlassianEdge")
    if isinstance(response, web.Response) and _should_compress(request, response):
        response.enable_compression(web.ContentCoding.gzip)


def _should_compress(request: web.Request, response: web.Response) -> bool:
    accepted = "gzip" in request.headers.get("Accept-Encoding", "")
    large = isinstance(response.body, bytes) and len(response.body) > 1024
    return accepted and large and "Content-Encoding" not in response.headers


def _log_request(
    at: float, request: web.Request, response: web.StreamResponse | None, *, gateway: bool, fault: str | None
) -> LoggedRequest:
    exchange = request[EXCHANGE]
    disconnected = request.transport is None or request.transport.is_closing()
    status_sent = response is not None and (response.prepared or not disconnected)
    return LoggedRequest(
        received_at=at,
        ended_at=time.monotonic(),
        gateway=gateway,
        method=request.method,
        path=request.path,
        query=dict(request.query),
        user=exchange.user,
        status=response.status if response is not None and status_sent else None,
        fault=fault,
        records=exchange.records,
        retry_after=_retry_after_seconds(response, exchange.date) if response is not None else None,
    )


def _retry_after_seconds(response: web.StreamResponse, date: int) -> float | None:
    text = response.headers.get("Retry-After")
    if text is None:
        return None
    if text.isdigit():
        return float(text)
    return max(0.0, parsedate_to_datetime(text).timestamp() - date / 1000)

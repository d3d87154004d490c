"""Faults of Jira Cloud by name. Faults of any HTTP server are in `simulators.faults`."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from simulators import faults
from simulators.faults import Fault, ServeNormally
from simulators.jira_cloud import responses
from simulators.jira_cloud.requests import EXCHANGE
from simulators.jira_cloud.responses import CannedResponse, error_collection


def rate_limited(
    retry_after: float | None = 5,
    *,
    as_date: bool = False,
    reason: str | None = "jira-burst-based",
    reset: datetime | None = None,
) -> Fault:
    """Return a 429 with Retry-After in seconds, or as a date.

    `reset` is sent as X-RateLimit-Reset, to the minute. Source: Jira Cloud REST API, "Rate limiting".
    """
    headers = {} if reason is None else {"RateLimit-Reason": reason}
    if reset is not None:
        headers |= {
            "X-RateLimit-Limit": "100",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": reset.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        }
    response = error_collection(429, "Rate limit exceeded.", headers)
    return _with_retry_after("429", response, retry_after, as_date=as_date)


def unavailable(retry_after: float | None = None, *, as_date: bool = False) -> Fault:
    """Return a 503 with an HTML page, as an edge server sends it."""
    page = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
    return _with_retry_after(
        "503", CannedResponse(503, page, content_type="text/html"), retry_after, as_date=as_date
    )


def server_error(status: int = 500) -> Fault:
    return error_collection(status, "Internal server error").to_fault(str(status))


def html() -> Fault:
    """Return a 200 with a log-in page."""
    return responses.HTML.to_fault("HTML")


def wrong_credentials(*, as_json: bool = False) -> Fault:
    response = responses.WRONG_CREDENTIALS_JSON if as_json else responses.WRONG_CREDENTIALS
    return response.to_fault("401")


def gateway_wrong_credentials() -> Fault:
    return responses.GATEWAY_WRONG_CREDENTIALS.to_fault("401 of the gateway")


def scope_mismatch() -> Fault:
    return responses.GATEWAY_SCOPE.to_fault("401 scope")


def not_administrator() -> Fault:
    return responses.NOT_ADMINISTRATOR.to_fault("403 not an administrator")


def free_plan() -> Fault:
    return responses.FREE_PLAN.to_fault("403 Free plan")


def captcha(status: int = 403) -> Fault:
    """Return the refusal of a user who must solve a CAPTCHA.

    Atlassian documents its header, but not its status.
    """
    return replace(responses.CAPTCHA, status=status).to_fault("CAPTCHA")


def connect_token() -> Fault:
    return responses.CONNECT_TOKEN.to_fault("403 Connect token")


def anonymous() -> Fault:
    """Return a 200 without records. Jira ignored the credentials, and only a header shows it."""
    return responses.ANONYMOUS.to_fault("anonymous 200")


def redirect(location: str, status: int = 302) -> Fault:
    return faults.respond_with(status, headers={"Location": location}, content_type=None, name="redirect")


def wrong_total(total: int | None) -> Fault:
    """Return a fault that replaces `total` in the normal answer; None leaves it out."""

    def change(body: bytes) -> bytes:
        envelope = json.loads(body)
        envelope.pop("total", None)
        return json.dumps(envelope if total is None else {**envelope, "total": total}).encode()

    return faults.altered_body(change, name="wrong total")


def beta_rate_headers() -> Fault:
    """Return a fault that adds the headers of limits that Atlassian does not enforce yet to the normal answer."""
    return faults.altered_head(
        headers={
            "Beta-Retry-After": "3600",
            "X-Beta-RateLimit-Reason": "jira-quota-tenant-based",
            "X-Beta-RateLimit-NearLimit": "true",
            "Beta-RateLimit-Policy": '"tenant-app-quota";q=100100;w=3600',
            "Beta-RateLimit": '"tenant-app-quota";r=0;t=2107',
            "X-RateLimit-NearLimit": "true",
        }
    )


def _with_retry_after(
    name: str, canned: CannedResponse, retry_after: float | None, *, as_date: bool
) -> Fault:
    async def play(request: web.Request, _serve_normally: ServeNormally) -> web.StreamResponse:
        response = canned.to_response()
        if retry_after is not None:
            until = datetime.fromtimestamp(math.ceil(request[EXCHANGE].date / 1000 + retry_after), UTC)
            text = format_datetime(until, usegmt=True) if as_date else str(math.ceil(retry_after))
            response.headers["Retry-After"] = text
        return response

    return Fault(name, play)

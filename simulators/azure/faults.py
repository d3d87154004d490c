"""Refusals of Azure, for `AzureWorld.fault`. Resets, hangs and slow answers are in `simulators.faults`."""

import json
from datetime import datetime
from email.utils import format_datetime

from simulators.faults import Fault, respond_with


def throttled(retry_after: float | datetime | str | None = None) -> Fault:
    """Return a 429. `retry_after`: seconds, an instant (sent as an HTTP date), or the text of the header."""
    headers = {} if retry_after is None else {"Retry-After": _retry_after_text(retry_after)}
    return ingestion_error(
        429, "TooManyRequests", "The request rate of the data collection rule was exceeded.", headers
    )


def unavailable(status: int = 503, retry_after: float | datetime | str | None = None) -> Fault:
    headers = {} if retry_after is None else {"Retry-After": _retry_after_text(retry_after)}
    code = {500: "InternalServerError", 503: "ServiceUnavailable"}.get(status, "ServerError")
    return ingestion_error(status, code, "The service could not process the request.", headers)


def unauthorized() -> Fault:
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="The token has expired."'}
    return ingestion_error(401, "InvalidToken", "The token has expired.", headers)


def forbidden(rule_id: str = "dcr-0") -> Fault:
    return ingestion_error(403, "OperationFailed", no_access_message(rule_id))


def no_access_message(rule_id: str) -> str:
    """Return Azure's message. Source: TROUBLESHOOTING.md of azure-monitor-ingestion."""
    return (
        "The authentication token provided does not have access to ingest data for the data collection "
        f"rule with immutable Id '{rule_id}'."
    )


def rule_not_found() -> Fault:
    return ingestion_error(404, "NotFound", "The data collection rule was not found.")


def too_large() -> Fault:
    return ingestion_error(413, "ContentLengthLimitExceeded", over_limit_message(1_048_577))


def over_limit_message(provided: int) -> str:
    """Return Azure's message for a body of `provided` bytes. Source: JulianHayward/AzADServicePrincipalInsights#30."""
    return (
        "Maximum allowed content length: 1048576 bytes (1 MB). "
        f"Provided content length: {provided} bytes. Please reduce the content length and try again."
    )


def broken_rule() -> Fault:
    """Return the refusal of a rule with a broken transform or output. Add it with `rate=1`: it refuses every call."""
    return ingestion_error(
        400, "InvalidTransformOutput", "The data collection rule could not process the data."
    )


def gateway_page(status: int = 502) -> Fault:
    """Return an HTML page of a proxy in front of Azure, without Azure's headers."""
    page = f"<html><head><title>{status}</title></head><body><h1>{status} Bad Gateway</h1></body></html>"
    return respond_with(status, page, content_type="text/html", name=f"{status} page")


def no_token(status: int = 503) -> Fault:
    """Return the refusal of a token endpoint, for `on="token"`."""
    body = {"error": "temporarily_unavailable", "error_description": "AADSTS90033: A transient error."}
    return respond_with(status, json.dumps(body), name=f"token {status}")


def ingestion_error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Fault:
    """Return an error in the form of the ingestion API."""
    return respond_with(
        status,
        json.dumps({"error": {"code": code, "message": message}}),
        headers={"x-ms-error-code": code, **(headers or {})},
        name=f"{status} {code}",
    )


def _retry_after_text(retry_after: float | datetime | str) -> str:
    if isinstance(retry_after, datetime):
        return format_datetime(retry_after, usegmt=True)
    return retry_after if isinstance(retry_after, str) else f"{retry_after:g}"

"""Azure's own ways of saying no, for `AzureWorld.fault`; resets, hangs and slow answers are in `simulators.faults`."""

import json
from datetime import datetime
from email.utils import format_datetime

from simulators.faults import Fault, respond_with


def throttled(retry_after: float | datetime | str | None = None) -> Fault:
    """429. `retry_after`: seconds, a moment (sent as an HTTP date), or the header's very text."""
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
    """Text from the SDK's TROUBLESHOOTING.md."""
    return (
        "The authentication token provided does not have access to ingest data for the data collection "
        f"rule with immutable Id '{rule_id}'."
    )


def rule_not_found() -> Fault:
    return ingestion_error(404, "NotFound", "The data collection rule was not found.")


def too_large() -> Fault:
    return ingestion_error(413, "ContentLengthLimitExceeded", over_limit_message(1_048_577))


def over_limit_message(provided: int) -> str:
    """Text from JulianHayward/AzADServicePrincipalInsights#30."""
    return (
        "Maximum allowed content length: 1048576 bytes (1 MB). "
        f"Provided content length: {provided} bytes. Please reduce the content length and try again."
    )


def broken_rule() -> Fault:
    """The transform or the output of the rule is broken: whatever comes is refused. Add it with `rate=1`."""
    return ingestion_error(
        400, "InvalidTransformOutput", "The data collection rule could not process the data."
    )


def gateway_page(status: int = 502) -> Fault:
    """HTML from something in front of Azure, without any of Azure's headers."""
    page = f"<html><head><title>{status}</title></head><body><h1>{status} Bad Gateway</h1></body></html>"
    return respond_with(status, page, content_type="text/html", name=f"{status} page")


def no_token(status: int = 503) -> Fault:
    """For `on="token"`: the authority or the metadata service does not give any."""
    body = {"error": "temporarily_unavailable", "error_description": "AADSTS90033: A transient error."}
    return respond_with(status, json.dumps(body), name=f"token {status}")


def ingestion_error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Fault:
    """An error as the ingestion API writes it."""
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

"""The answers of the Logs Ingestion API, as outcomes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from consumer.destinations.azure_ingestion.forbidden import explain_forbidden
from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent, Split
from relay.errors import describe, one_line
from relay.retry import retry_after_seconds

MAX_RETRY_AFTER_SECONDS = 900.0

_NO_CONTENT = 204
_ACCEPTED = frozenset({200, 202, _NO_CONTENT})
_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class IngestionResponse:
    """A whole answer, with its content decompressed; of an error that is very long, or damaged, it is the beginning."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class IngestionContext:
    """The rule and stream of a request, for messages to the operator."""

    destination: str
    rule_id: str
    stream: str


TOKEN_REJECTED = Paused("Azure rejects the token.", 401)
"""The token may only have expired. Compared by identity."""


def classify(response: IngestionResponse, context: IngestionContext, now_ms: int) -> Outcome:
    """Return the outcome of an answer. Source: Azure Monitor, Logs Ingestion API, troubleshooting."""
    status = response.status
    if status in _ACCEPTED and _is_empty(response):
        return Sent()
    description = _describe(response)
    match status:
        case 400 | 422:
            return Reject(description, status)
        case 401:
            return TOKEN_REJECTED
        case 403:
            message = _azure_error(response)
            return Paused(
                explain_forbidden(
                    message[1],
                    description,
                    context.rule_id,
                    from_azure=any(message) or _has_azure_header(response),
                ),
                status,
            )
        case 404:
            return Paused(
                f"The endpoint knows no rule {context.rule_id} with the stream {context.stream} ({description}). Deploy the"
                f" template of deploy/azure with this stream, or check destinations.{context.destination}.endpoint, .rule_id, .stream"
                " and .history_stream.",
                status,
            )
        case 413:
            return Split(description, status)
        case _ if is_transient(status):
            wait = _retry_after(response.headers, now_ms)
            return Retry(f"Azure takes no logs now ({description}).", status, wait)
        case _ if status < 300:
            wait = _retry_after(response.headers, now_ms)
            return Retry(
                f"The answer does not say that Azure accepted the logs ({description}).", status, wait
            )
        case _:
            return Paused(
                f"The server at destinations.{context.destination}.endpoint accepts no logs ({description}). Check the endpoint, and any"
                " proxy on the way.",
                status,
            )


def token_rejected(destination: str) -> Paused:
    """Return the outcome when Azure rejects a new token too."""
    return Paused(
        f"Azure rejects the relay's token, also a new one (401). Check destinations.{destination}.credential, its tenant, and"
        f" that destinations.{destination}.cloud is the cloud of the endpoint.",
        401,
    )


def classify_status(status: int) -> Outcome:
    """Return the outcome of an answer of Azure without content, for the runbook."""
    outcome = classify(
        IngestionResponse(status, {"x-ms-error-code": ""}, b""), IngestionContext("NAME", "RULE", "STREAM"), 0
    )
    return token_rejected("NAME") if outcome is TOKEN_REJECTED else outcome


def _is_empty(response: IngestionResponse) -> bool:
    """Return whether the answer has no body. One with an encoding has a body, though a broken one decodes to nothing.

    A 204 has none, whatever its headers say (RFC 9110, 15.3.5); a gateway may name the encoding that it would have used.
    """
    encoded = "Content-Encoding" in response.headers and response.status != _NO_CONTENT
    return not response.content.strip() and not encoded


def is_transient(status: int | None) -> bool:
    """Return whether the same request may succeed later; None is no status."""
    return status is not None and (status in _TRANSIENT or status >= 500)


def _retry_after(headers: Mapping[str, str], now_ms: int) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        try:
            seconds = float(headers[name]) / 1000
        except (KeyError, ValueError):
            continue
        if not math.isnan(seconds):
            return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
    return retry_after_seconds(headers.get("Retry-After"), now_ms, maximum=MAX_RETRY_AFTER_SECONDS)


def _describe(response: IngestionResponse) -> str:
    """Return status, code, message and request id on one line, without those that are missing."""
    code, message = _azure_error(response)
    if not message and response.content.lstrip()[:1] == b"<":
        message = "a page of HTML"
    request = response.headers.get("x-ms-request-id")
    parts = [
        str(response.status),
        code,
        one_line(message),
        f"request {request}" if request else "",
    ]
    return " ".join(part for part in parts if part)


def _azure_error(response: IngestionResponse) -> tuple[str, str]:
    """Return code and message of Azure's error; empty texts where the answer has none."""
    code = response.headers.get("x-ms-error-code", "")
    try:
        error = orjson.loads(response.content)["error"]
        return str(error.get("code") or code), str(error.get("message") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return code, ""


def _has_azure_header(response: IngestionResponse) -> bool:
    return any(name.lower().startswith("x-ms-") for name in response.headers)


def describe_error(error: Exception) -> str:
    return one_line(describe(error))

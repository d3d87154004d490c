"""Jira's answers: status, headers and text to an error kind.

The causes and their signs come from Atlassian's documentation and from published answers. Where one status has several
causes, header and text tell them apart.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from producer.sources.errors import ErrorKind, RequestContext, SourceFailure
from producer.sources.jira_cloud.messages import make_failure
from relay.retry import retry_after_seconds

MAX_WAIT_SECONDS = 86_400
MAX_QUOTE_CHARACTERS = 200
MAX_QUOTED_BYTES = 100_000
HOUR = 3_600_000

_QUOTA_REASON = re.compile(r"quota|cost", re.IGNORECASE)
_IP_ADDRESS_WORD = re.compile(r"\bIP\b")
_KIND_BY_STATUS = {
    400: ErrorKind.BAD_REQUEST,
    404: ErrorKind.NOT_THE_API,
    407: ErrorKind.FORBIDDEN,
    408: ErrorKind.UNAVAILABLE,
    410: ErrorKind.NOT_THE_API,
    413: ErrorKind.BAD_REQUEST,
    414: ErrorKind.BAD_REQUEST,
    425: ErrorKind.UNAVAILABLE,
    429: ErrorKind.RATE_LIMITED,
    451: ErrorKind.FORBIDDEN,
}


Redact = Callable[[str], str]
"""Removes secrets from a text."""


@dataclass(frozen=True, slots=True)
class JiraResponse:
    """An HTTP answer; `headers` ignores case. `date_ms` is the Date header; None: there is none, or it is unreadable."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    date_ms: int | None = None


def classify(
    response: JiraResponse, context: RequestContext, now_ms: int, redact: Redact = str
) -> SourceFailure | None:
    """Return the failure that an answer is, by status, header and text. None: its body may be read.

    `now_ms` is used for a wait given as a date if the answer has no Date. Quotes in the message are redacted.
    """
    kind = _error_kind(response)
    if kind is None:
        return None
    found = make_failure(kind, context, status=response.status, quote=_describe(kind, response, redact))
    wait = (
        _requested_wait(response, now_ms) if kind in {ErrorKind.RATE_LIMITED, ErrorKind.UNAVAILABLE} else None
    )
    return replace(found, retry_after_seconds=wait, date_ms=response.date_ms)


def _error_kind(response: JiraResponse) -> ErrorKind | None:
    login_reason = response.headers.get("X-Seraph-LoginReason", "").upper()
    text = response.body[:10_000].decode("utf-8", "replace")
    status = response.status
    if "AUTHENTICATION_DENIED" in login_reason or (status in {401, 403} and "AUTHENTICATION_DENIED" in text):
        return ErrorKind.CAPTCHA
    if status == 401:
        return ErrorKind.SCOPE_MISSING if "scope does not match" in text else ErrorKind.KEY_REFUSED
    if "FAILED" in login_reason and status < 400:
        return ErrorKind.ANONYMOUS
    if status == 403:
        return _kind_of_403(login_reason, text)
    return None if status == 200 else _KIND_BY_STATUS.get(status) or _kind_of_status_class(status)


def _kind_of_403(login_reason: str, text: str) -> ErrorKind:
    if "free plan" in text.lower():
        return ErrorKind.FREE_PLAN
    if "Session Auth Token" in text:
        return ErrorKind.KEY_TYPE
    if "FAILED" in login_reason:
        return ErrorKind.KEY_REFUSED
    return (
        ErrorKind.NOT_ADMINISTRATOR
        if _error_messages(text) and not _IP_ADDRESS_WORD.search(text)
        else ErrorKind.FORBIDDEN
    )


def _kind_of_status_class(status: int) -> ErrorKind:
    if 300 <= status < 400:
        return ErrorKind.REDIRECTED
    return ErrorKind.UNAVAILABLE if status >= 500 else ErrorKind.UNEXPECTED


def _requested_wait(response: JiraResponse, now_ms: int) -> float | None:
    """Return the seconds that Jira asks to wait: Retry-After, else the time to the quota's reset. Beta- headers are
    announcements, not limits.
    """
    now = now_ms if response.date_ms is None else response.date_ms
    seconds = retry_after_seconds(response.headers.get("Retry-After"), now, maximum=MAX_WAIT_SECONDS)
    if seconds is not None or not _QUOTA_REASON.search(response.headers.get("RateLimit-Reason", "")):
        return seconds
    reset_seconds = retry_after_seconds(
        response.headers.get("X-RateLimit-Reset"), now, maximum=MAX_WAIT_SECONDS
    )
    return (HOUR - now % HOUR) / 1000 if reset_seconds is None else reset_seconds


def _describe(kind: ErrorKind, response: JiraResponse, redact: Redact) -> str:
    """Return the answer's own words: redacted, printable, short; of a redirect the host alone."""
    if kind is ErrorKind.RATE_LIMITED:
        return _printable(redact(response.headers.get("RateLimit-Reason", "")))
    if kind is ErrorKind.REDIRECTED:
        return _printable(f"to {_host(redact(response.headers.get('Location', '')))}")
    text = response.body[:MAX_QUOTED_BYTES].decode("utf-8", "replace")
    if messages := _error_messages(text):
        return _printable(redact(messages))
    plain = response.headers.get("Content-Type", "").startswith("text/plain")
    return _printable(redact(text)) if plain else ""


def _host(location: str) -> str:
    try:
        return urlsplit(location).hostname or "another page of the same host"
    except ValueError:
        return "an unreadable address"


def _error_messages(text: str) -> str:
    """Return the messages of Jira's ErrorCollection, or of the gateway's answer."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(body, dict):
        return ""
    messages = body.get("errorMessages")
    found = messages if isinstance(messages, list) else [body.get("message"), body.get("error")]
    return " ".join(one for one in found if isinstance(one, str))


def _printable(text: str) -> str:
    clean = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return clean if len(clean) <= MAX_QUOTE_CHARACTERS else f"{clean[:MAX_QUOTE_CHARACTERS]}…"

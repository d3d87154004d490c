"""What an answer of Jira means.

The causes and their signs are those of Atlassian's documentation and of answers that others have written down; where
one status has several causes, header and text tell them apart.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from producer.sources.errors import Asked, Failure, Kind, failure
from relay.retry import retry_after_seconds

LONGEST_WAIT_SECONDS = 86_400
LONGEST_QUOTE = 200
MOST_QUOTED_BYTES = 100_000
HOUR = 3_600_000

_QUOTA = re.compile(r"quota|cost", re.IGNORECASE)
_ADDRESS = re.compile(r"\bIP\b")
_BY_STATUS = {
    400: Kind.BAD_REQUEST,
    404: Kind.NOT_JIRA,
    407: Kind.FORBIDDEN,
    408: Kind.UNAVAILABLE,
    410: Kind.NOT_JIRA,
    413: Kind.BAD_REQUEST,
    414: Kind.BAD_REQUEST,
    425: Kind.UNAVAILABLE,
    429: Kind.RATE_LIMITED,
    451: Kind.FORBIDDEN,
}


Scrub = Callable[[str], str]
"""Takes secrets out of a text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP; `headers` is without regard to case. `date_ms` is the Date header."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    date_ms: int | None = None


def judge(answer: Answer, asked: Asked, now_ms: int, scrub: Scrub = str) -> Failure | None:
    """What is wrong with an answer, by status, header and text; None: its body may be read.

    `now_ms` serves where a wait is given as a date and Jira's own clock is not known. Nothing is quoted but what `scrub` has
    left of it.
    """
    kind = _kind(answer)
    if kind is None:
        return None
    found = failure(kind, asked, status=answer.status, words=_describe(kind, answer, scrub))
    wait = _wait(answer, now_ms) if kind in {Kind.RATE_LIMITED, Kind.UNAVAILABLE} else None
    return replace(found, retry_after_seconds=wait, date_ms=answer.date_ms)


def _kind(answer: Answer) -> Kind | None:
    reason = answer.headers.get("X-Seraph-LoginReason", "").upper()
    text = answer.body[:10_000].decode("utf-8", "replace")
    status = answer.status
    if "AUTHENTICATION_DENIED" in reason or (status in {401, 403} and "AUTHENTICATION_DENIED" in text):
        return Kind.CAPTCHA
    if status == 401:
        return Kind.SCOPE_MISSING if "scope does not match" in text else Kind.KEY_REFUSED
    if "FAILED" in reason and status < 400:
        return Kind.ANONYMOUS
    if status == 403:
        return _forbidden(reason, text)
    return None if status == 200 else _BY_STATUS.get(status) or _by_hundred(status)


def _forbidden(reason: str, text: str) -> Kind:
    if "free plan" in text.lower():
        return Kind.FREE_PLAN
    if "Session Auth Token" in text:
        return Kind.KEY_TYPE
    if "FAILED" in reason:
        return Kind.KEY_REFUSED
    return Kind.NOT_ADMINISTRATOR if _error_messages(text) and not _ADDRESS.search(text) else Kind.FORBIDDEN


def _by_hundred(status: int) -> Kind:
    if 300 <= status < 400:
        return Kind.REDIRECTED
    return Kind.UNAVAILABLE if status >= 500 else Kind.UNEXPECTED


def _wait(answer: Answer, now_ms: int) -> float | None:
    """What Jira asks for: Retry-After, else the moment a quota is filled again. Beta- headers are only news."""
    now = now_ms if answer.date_ms is None else answer.date_ms
    told = retry_after_seconds(answer.headers.get("Retry-After"), now, maximum=LONGEST_WAIT_SECONDS)
    if told is not None or not _QUOTA.search(answer.headers.get("RateLimit-Reason", "")):
        return told
    reset = retry_after_seconds(answer.headers.get("X-RateLimit-Reset"), now, maximum=LONGEST_WAIT_SECONDS)
    return (HOUR - now % HOUR) / 1000 if reset is None else reset


def _describe(kind: Kind, answer: Answer, scrub: Scrub) -> str:
    """What the answer itself says, made harmless: no secret, printable, short, and of a redirect the host alone."""
    if kind is Kind.RATE_LIMITED:
        return _printable(scrub(answer.headers.get("RateLimit-Reason", "")))
    if kind is Kind.REDIRECTED:
        return _printable(f"to {_host(scrub(answer.headers.get('Location', '')))}")
    text = answer.body[:MOST_QUOTED_BYTES].decode("utf-8", "replace")
    if said := _error_messages(text):
        return _printable(scrub(said))
    plain = answer.headers.get("Content-Type", "").startswith("text/plain")
    return _printable(scrub(text)) if plain else ""


def _host(location: str) -> str:
    try:
        return urlsplit(location).hostname or "another page of the same host"
    except ValueError:
        return "an unreadable address"


def _error_messages(text: str) -> str:
    """The words of Jira's ErrorCollection, or of the gateway's message."""
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
    return clean if len(clean) <= LONGEST_QUOTE else f"{clean[:LONGEST_QUOTE]}…"

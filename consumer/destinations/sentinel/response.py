"""What the answers of the Logs Ingestion API mean."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent, Split
from relay.errors import describe, one_line
from relay.retry import retry_after_seconds

LONGEST_RETRY_AFTER_SECONDS = 900.0

_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came instead of a 204."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked for, to be named to the operator."""

    destination: str
    rule_id: str
    stream: str


EXPIRED = Paused("the token is refused", 401)
"""The token may only have grown old: to be compared by identity."""


def meaning(answer: Answer, target: Target, now_ms: int) -> Outcome:
    """The outcome that an answer stands for (reference: Logs Ingestion API, troubleshooting)."""
    status, said = answer.status, _said(answer)
    match status:
        case 200 | 202 | 204 if not answer.content.strip():
            return Sent()
        case 400 | 422:
            return Reject(said, status)
        case 401:
            return EXPIRED
        case 403:
            return Paused(
                f"We may not send to the rule {target.rule_id} ({said}): give our identity the role Monitoring Metrics Publisher"
                " on the data collection rule. It takes effect within 30 minutes.",
                status,
            )
        case 404:
            return Paused(
                f"The endpoint knows no rule {target.rule_id} with the stream {target.stream} ({said}): check"
                f" destinations.{target.destination}.endpoint, .rule_id, .stream and .history_stream.",
                status,
            )
        case 413:
            return Split(said, status)
        case _ if passes(status) or status < 300:
            return Retry(said, status, _retry_after(answer.headers, now_ms))
        case _:
            return Paused(
                f"What answers at destinations.{target.destination}.endpoint does not take logs ({said}): check the endpoint, and"
                " any proxy on the way.",
                status,
            )


def passes(status: int | None) -> bool:
    """Whether it says that the same request may succeed later."""
    return status is not None and (status in _TRANSIENT or status >= 500)


def _retry_after(headers: Mapping[str, str], now_ms: int) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        try:
            return min(max(float(headers[name]) / 1000, 0.0), LONGEST_RETRY_AFTER_SECONDS)
        except (KeyError, ValueError):
            continue
    return retry_after_seconds(headers.get("Retry-After"), now_ms, maximum=LONGEST_RETRY_AFTER_SECONDS)


def _said(answer: Answer) -> str:
    """Status, code, message and request id, as far as they are there, on one line."""
    code, message = answer.headers.get("x-ms-error-code"), ""
    try:
        error = orjson.loads(answer.content)["error"]
        code, message = error.get("code", code), str(error.get("message", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        if answer.content.lstrip()[:1] == b"<":
            message = "a page of HTML"
    request = answer.headers.get("x-ms-request-id")
    parts = [str(answer.status), str(code or ""), one_line(message), f"request {request}" if request else ""]
    return " ".join(part for part in parts if part)


def words(error: Exception) -> str:
    return one_line(describe(error))

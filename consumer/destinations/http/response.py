"""The answers of an HTTP receiver, as outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent, Split
from relay.errors import one_line
from relay.retry import retry_after_seconds

MAX_RETRY_AFTER_SECONDS = 900.0
MAX_QUOTED_CHARS = 200

_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The head of an answer, and the beginning of its body, without secrets."""

    status: int
    headers: Mapping[str, str]
    text: str = ""


def classify(response: HttpResponse, name: str, now_ms: int) -> Outcome:
    """Return the outcome of an answer to the destination `name`. Any 2xx is an acceptance, whatever its body says.

    Source: Standard Webhooks, "Operational considerations"; RFC 9110. An unknown answer pauses.
    """
    status, said = response.status, _describe(response)
    match status:
        case _ if 200 <= status < 300:
            return Sent()
        case 400 | 422:
            return Reject(said, status)
        case 401 | 403:
            return Paused(
                f"The receiver rejects the relay's credential ({said}). Check destinations.{name}.headers, .headers_file,"
                " .signing_secrets and .certificate_file; a changed file is read at the next request.",
                status,
            )
        case 404 | 405 | 410:
            return Paused(
                f"The receiver takes no events at this URL ({said}). Check destinations.{name}.url and .history_url.",
                status,
            )
        case 413:
            return Split(said, status)
        case _ if status in _TRANSIENT or status >= 500:
            wait = retry_after_seconds(
                response.headers.get("retry-after"), now_ms, maximum=MAX_RETRY_AFTER_SECONDS
            )
            return Retry(f"The receiver takes no events now ({said}).", status, wait)
        case _ if 300 <= status < 400:
            return Paused(
                f"The receiver redirects ({said}), and the relay does not follow with a credential. Set destinations.{name}.url to the"
                " new address, or check the proxy on the way.",
                status,
            )
        case _:
            return Paused(
                f"The receiver refuses requests of this form ({said}). Check destinations.{name}.url, .format, .compression and"
                " .headers, and any proxy on the way.",
                status,
            )


def classify_head(response: HttpResponse, name: str, now_ms: int) -> Outcome:
    """Return the outcome of a HEAD request, by which a receiver of single events is checked without an event.

    A receiver that answers POST alone says so (405), or that it has no such page (404); it was reached all the same.
    """
    return Sent() if response.status in {404, 405, 501} else classify(response, name, now_ms)


def classify_status(status: int) -> Outcome:
    """Return the outcome of an answer without content, for the runbook."""
    return classify(HttpResponse(status, {}), "NAME", 0)


def _describe(response: HttpResponse) -> str:
    """Return the status, and the beginning of a text that is no page of HTML, on one line."""
    text = response.text.strip()
    if text[:1] == "<":
        text = "a page of HTML"
    printable = "".join(each if each.isprintable() else " " for each in text)
    return f"{response.status} {one_line(printable, MAX_QUOTED_CHARS)}".strip()

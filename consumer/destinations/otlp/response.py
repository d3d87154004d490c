"""The answers of an OTLP backend, as outcomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from consumer.destinations.otlp.answers import (
    NotOtlpError,
    PartialSuccess,
    error_message,
    read_partial_success,
)
from consumer.destinations.outcome import Dropped, Outcome, Paused, Reject, Retry, Sent, Split
from relay.errors import one_line
from relay.retry import retry_after_seconds

MAX_RETRY_AFTER_SECONDS = 900.0
MAX_QUOTED_CHARS = 200


@dataclass(frozen=True, slots=True)
class OtlpResponse:
    """An answer. `complete`: whether its body did not break off. `redact`: hides secrets that the backend repeats."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""
    complete: bool = True
    redact: Callable[[str], str] = str

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


@dataclass(frozen=True, slots=True)
class Request:
    """What an answer is about. `rows`: 0 for a probe. `halves`: whether the setting partial_success is halve."""

    destination: str
    rows: int
    halves: bool = False


def classify(response: OtlpResponse, request: Request, now_ms: int) -> Outcome:
    """Return the outcome of an answer. An unknown answer pauses.

    Source: OTLP 1.5, "OTLP/HTTP Response": 429, 502, 503 and 504 are transient, and no other status is.
    """
    status, name = response.status, request.destination
    if 200 <= status < 300:
        return _classify_acceptance(response, request)
    said = _describe(response)
    match status:
        case 400:
            return Reject(said, status)
        case 401 | 403:
            return Paused(
                f"The backend rejects the relay's credential ({said}). Check destinations.{name}.headers, .headers_file and"
                " .certificate_file; a changed file is read at the next request.",
                status,
            )
        case 404 | 405:
            return Paused(
                f"The backend takes no logs at this URL ({said}). Check destinations.{name}.endpoint and .history_endpoint: the"
                " relay adds /v1/logs.",
                status,
            )
        case 413:
            return Split(said, status)
        case 429 | 502 | 503 | 504:
            wait = retry_after_seconds(
                response.headers.get("retry-after"), now_ms, maximum=MAX_RETRY_AFTER_SECONDS
            )
            return Retry(f"The backend takes no logs for the time being ({said}).", status, wait)
        case _ if 300 <= status < 400:
            return Paused(
                f"The backend redirects ({said}), and the relay does not follow with a credential. Set"
                f" destinations.{name}.endpoint to the new address, or check the proxy on the way.",
                status,
            )
        case _:
            return Paused(
                f"The backend does not take the relay's requests ({said}). Read its own log, and check"
                f" destinations.{name}.endpoint, .encoding, .compression and .headers, and any proxy on the way.",
                status,
            )


def classify_status(status: int) -> Outcome:
    """Return the outcome of an answer without content, for the runbook."""
    return classify(OtlpResponse(status, {}), Request("NAME", 1), 0)


def _classify_acceptance(response: OtlpResponse, request: Request) -> Outcome:
    """Return the outcome of a 2xx, whose body may say that rows were dropped.

    1. A body that broke off may have said it, so the rows are sent again.
    2. A body that is no OTLP shows that no backend answered, but the page of a portal or of a proxy.
    3. All rows dropped: none is stored, so the body is rejected as by a 400, and halved to find the bad ones.
    4. Some rows dropped: the others are stored. The body must not be sent again, unless the backend removes repeats.
    """
    status, name = response.status, request.destination
    if not response.complete:
        return Retry(f"The answer of the backend broke off ({status}).", status)
    try:
        found = read_partial_success(response.content, response.content_type)
    except NotOtlpError:
        found = PartialSuccess(-1)
    if not 0 <= found.rejected <= request.rows:
        return Paused(
            f"The answer is no answer of OTLP ({_describe(response)}), so events may not be stored. Check"
            f" destinations.{name}.endpoint and .history_endpoint, and any proxy on the way.",
            status,
        )
    message = _quote(response.redact(found.message))
    if found.rejected == 0:
        return Sent(warning=message)
    said = f"{status} the backend dropped {found.rejected} of {request.rows} events: {message or 'no reason'}"
    if found.rejected == request.rows or request.halves:
        return Reject(said, status)
    return Dropped(found.rejected, said, status)


def _describe(response: OtlpResponse) -> str:
    """Return the status, and the beginning of a message that is no page of HTML, on one line."""
    text = response.redact(error_message(response.content, response.content_type)).strip()
    if text[:1] == "<":
        text = "a page of HTML"
    return f"{response.status} {_quote(text)}".strip()


def _quote(text: str) -> str:
    return one_line("".join(each if each.isprintable() else " " for each in text), MAX_QUOTED_CHARS)

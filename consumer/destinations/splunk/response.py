"""The answers of an HTTP Event Collector, as outcomes.

Source: Splunk Enterprise, "Troubleshoot HTTP Event Collector", "Possible error codes".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from consumer.destinations.outcome import Outcome, Partial, Paused, Reject, Retry, Sent, Split
from relay.errors import one_line
from relay.retry import retry_after_seconds

MAX_RETRY_AFTER_SECONDS = 900.0
MAX_QUOTED_CHARS = 200

SUCCESS, NO_DATA, INCORRECT_INDEX = 0, 5, 7
CHANNEL_MISSING, INVALID_CHANNEL, ACK_DISABLED = 10, 11, 14
EVENT_REQUIRED, EVENT_BLANK = 12, 13

_TOKEN = {
    1: "The token is disabled",
    2: "The token is missing",
    3: "The token has a wrong form",
    4: "Splunk does not know the token",
    21: "Splunk does not know the token",
    22: "The token is disabled",
}
"""Code: what is wrong with the token. 21 and 22 have status 400."""
_BAD_EVENT = frozenset({6, EVENT_REQUIRED, EVENT_BLANK, 15})
"""Codes about one event, whose number the answer has. splunkd has taken the events before it, and none behind it."""
_BUSY = frozenset({8, 9, 18, 19, 20, 23, 26, 27})
_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class HecResponse:
    """An answer, without secrets. `complete`: whether all of its body came."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""
    complete: bool = True

    @property
    def document(self) -> Mapping[str, Any]:
        """The JSON object of the answer; an empty one if it has none."""
        try:
            found = orjson.loads(self.content)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def code(self) -> int | None:
        """The code of the collector; None: the answer has none, so it may be another server's."""
        found = self.document.get("code")
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def number(self, name: str, below: int | None = None) -> int | None:
        """Return a whole number from 0, and below `below`; None: the answer has none."""
        found = self.document.get(name)
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            return None
        return found if below is None or found < below else None


@dataclass(frozen=True, slots=True)
class Sending:
    """A request, for the meaning of its answer and for messages."""

    destination: str
    rows: int
    index: str | None
    """None: the default index of the token."""


def classify(response: HecResponse, sending: Sending, now_ms: int) -> Outcome:
    """Return the outcome of an answer. The code decides; the status does where another server answers. The unknown pauses."""
    code, status, said = response.code, response.status, describe(response)
    if code == SUCCESS and 200 <= status < 300:
        return Sent()
    if code in _TOKEN:
        return _token_refused(_TOKEN[code], said, sending, status)
    if code in _BAD_EVENT and status < 500:
        return _bad_event(response, sending, said)
    match code:
        case 7:
            return _wrong_index(said, sending, status)
        case 10 | 11:
            return Paused(
                f"The token has indexer acknowledgement, and the request did not ask for it ({said}). Set"
                f" destinations.{sending.destination}.acknowledge to true, or switch acknowledgement off in the token.",
                status,
            )
        case 14:
            return acknowledgement_off(sending.destination, said, status)
        case _ if code in _BUSY and status != 400:
            return _busy(response, said, now_ms)
        case _:
            return _by_status(response, sending, said, now_ms)


def acknowledgement_off(destination: str, said: str, status: int) -> Paused:
    """Return the outcome when the token gives no acknowledgement although the settings ask for it."""
    return Paused(
        f"The token has no indexer acknowledgement ({said}). Switch it on in the token, or set destinations.{destination}.acknowledge"
        " to false.",
        status,
    )


def classify_status(status: int) -> Outcome:
    """Return the outcome of an answer that has this status alone, for the runbook; one of 200 says success."""
    content = b'{"text":"Success","code":0}' if status == 200 else b""
    return classify(HecResponse(status, {}, content), Sending("NAME", 1, "INDEX"), 0)


def describe(response: HecResponse) -> str:
    """Return the status, with code and text of the collector or the beginning of another text, on one line."""
    document = response.document
    if response.code is not None:
        said = f"code {response.code} {document.get('text', '')}"
    else:
        text = response.content.decode("utf-8", "replace").strip()
        said = "a page of HTML" if text[:1] == "<" else text
    printable = "".join(each if each.isprintable() else " " for each in said)
    return f"{response.status} {one_line(printable, MAX_QUOTED_CHARS)}".strip()


def _token_refused(fault: str, said: str, sending: Sending, status: int) -> Paused:
    return Paused(
        f"{fault} ({said}). Check destinations.{sending.destination}.token or .token_file; a changed file is read at the next"
        " request.",
        status,
    )


def _bad_event(response: HecResponse, sending: Sending, said: str) -> Outcome:
    """Name the event that is to blame. Those before it are stored, so only those behind it may be sent again."""
    bad = response.number("invalid-event-number", sending.rows)
    if bad is None:
        return Reject(said, response.status)
    behind = frozenset(range(bad + 1, sending.rows))
    return Partial(
        {bad: said}, behind, None, response.status, f"Splunk stopped at an event ({said}).", unprocessed=True
    )


def _wrong_index(said: str, sending: Sending, status: int) -> Paused:
    """All events of a body name one index, so no event is to blame, whatever number the answer has."""
    index = "the default index of the token" if sending.index is None else f"the index {sending.index}"
    return Paused(
        f"Splunk does not have {index}, or the token may not write to it ({said}). Create the index, allow it in the token, or"
        f" check destinations.{sending.destination}.index, .history_index, .by_organization and .history_by_organization.",
        status,
    )


def _by_status(response: HecResponse, sending: Sending, said: str, now_ms: int) -> Outcome:
    status, name = response.status, sending.destination
    match status:
        case _ if 200 <= status < 300 and response.code is None and _is_broken_off(response):
            return Retry(
                f"The answer of Splunk broke off ({said}), so it may have stored the events.", status
            )
        case 400 if response.code is None or response.code == NO_DATA:
            return Reject(said, status)
        case 401:
            return _token_refused("The token is refused", said, sending, status)
        case 403:
            return Paused(
                f"The token, or a server on the way, refuses the requests ({said}). Check destinations.{name}.token,"
                " .token_file and .certificate_file, and any proxy on the way.",
                status,
            )
        case 404 | 405:
            return Paused(
                f"No HTTP Event Collector is at this address ({said}). Check destinations.{name}.endpoint, and that the collector is"
                " enabled in its global settings.",
                status,
            )
        case 413:
            return Split(said, status)
        case _ if status in _TRANSIENT or status >= 500:
            return _busy(response, said, now_ms)
        case _:
            return Paused(
                f"The server does not answer as an HTTP Event Collector ({said}). Check destinations.{name}.endpoint, and any proxy on"
                " the way.",
                status,
            )


def _is_broken_off(response: HecResponse) -> bool:
    """Return whether a part of an answer may be missing: what came may then be the beginning of a success."""
    return not response.complete or response.content.lstrip()[:1] == b"{"


def _busy(response: HecResponse, said: str, now_ms: int) -> Retry:
    wait = retry_after_seconds(response.headers.get("retry-after"), now_ms, maximum=MAX_RETRY_AFTER_SECONDS)
    return Retry(f"Splunk takes no events now ({said}).", response.status, wait)

"""The answers of Elasticsearch and OpenSearch, as outcomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from consumer.destinations.elasticsearch.blocks import explain_block
from consumer.destinations.elasticsearch.items import BulkError, judge
from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent, Split
from relay.retry import retry_after_seconds

MAX_RETRY_AFTER_SECONDS = 900.0

_TEXT_BYTES = 20_000
"""Of a text that is not JSON: so many that a secret at their end is far behind the quoted beginning."""
_TRANSIENT = frozenset({408, 425, 429})
_BODY_FAULTS = frozenset(
    {
        *("action_request_validation_exception", "parse_exception", "json_parse_exception"),
        *("x_content_parse_exception", "json_e_o_f_exception", "unexpected_end_of_input_exception"),
    }
)
"""Errors of a whole request that are about a line of its body."""


def is_transient(status: int) -> bool:
    """Whether the same request may succeed later, without an operator."""
    return status in _TRANSIENT or status >= 500


@dataclass(frozen=True, slots=True)
class ClusterResponse:
    """An answer of the cluster, decompressed. Its texts for messages hold no secret, its content may."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""
    redact: Callable[[str], str] = str
    """Applied to errors alone: an answer that names ten thousand documents takes long."""

    def document(self) -> Any:
        """Return the answer as JSON. Raises ValueError."""
        return orjson.loads(self.content)

    def error(self) -> BulkError:
        """Return the error of the answer, or the beginning of a text that is no page of HTML."""
        try:
            return BulkError.of(self.document()["error"], self.redact)
        except (ValueError, LookupError, TypeError):
            text = self.redact(self.content[:_TEXT_BYTES].decode("utf-8", "replace")).strip()[:2_000]
            return BulkError("", "a page of HTML" if text[:1] == "<" else text)

    @property
    def unrecognized(self) -> str:
        """The text that refuses a parameter of the request; empty in any other answer."""
        reason = self.error().reason if self.status == 400 else ""
        return reason if "unrecognized parameter" in reason else ""

    def describe(self) -> str:
        return f"{self.status} {self.error().text}".strip()


@dataclass(frozen=True, slots=True)
class BulkContext:
    """The context of a request, for messages to the operator: the destination's name, and its data stream or indices."""

    destination: str
    index: str

    def problem(self, error: BulkError, status: int, wait: float | None = None) -> Paused | Retry:
        """Return what an error that concerns the whole target means, and what to do. `wait`: what the cluster asked for."""
        known = explain_block(error, status, self.index)
        if known is not None:
            return known
        said = f"{status} {error.text}".strip()
        setting = f"destinations.{self.destination}"
        match status:
            case 401:
                return Paused(
                    f"The cluster rejects the relay's credential ({said}). Check {setting}.api_key, .username, .password and"
                    " .certificate_file; a changed file is read at the next request.",
                    status,
                )
            case 403:
                return Paused(
                    f"The relay may not write to {self.index} ({said}). Give its user or API key the privileges create_doc and"
                    " auto_configure there, and check any proxy on the way.",
                    status,
                )
            case _ if is_transient(status):
                return Retry(f"The cluster takes no documents now ({said}).", status, wait)
            case _:
                return Paused(
                    f"The cluster cannot write to {self.index} as the relay asks ({said}). Check {setting}.endpoint, .index,"
                    " .history_index, .layout and .pipeline, and the object that has this name.",
                    status,
                )


def classify(response: ClusterResponse, context: BulkContext, rows: int, now_ms: int) -> Outcome:
    """Return the outcome of an answer to a bulk request of `rows` documents. An unknown answer pauses.

    Source: Elasticsearch and OpenSearch, "Bulk API". Only an answer that names every document confirms that they are stored.
    """
    status, error = response.status, response.error() if response.status != 200 else BulkError()
    match status:
        case 200:
            return _classify_items(response, context, rows)
        case 413:
            return Split(response.describe(), status)
        case 400 if error.type in _BODY_FAULTS:
            return Reject(response.describe(), status)
        case _ if is_transient(status):
            wait = retry_after_seconds(
                response.headers.get("retry-after"), now_ms, maximum=MAX_RETRY_AFTER_SECONDS
            )
            return context.problem(error, status, wait)
        case _ if 300 <= status < 400:
            return Paused(
                f"The server redirects ({response.describe()}), and the relay does not follow with a credential. Set"
                f" destinations.{context.destination}.endpoint to the new address, or check the proxy on the way.",
                status,
            )
        case _:
            return context.problem(error, status)


def classify_status(status: int) -> Outcome:
    """Return the outcome of an answer without content, for the runbook; of 200, one whose documents are all accepted."""
    if status == 200:
        return Sent()
    return classify(ClusterResponse(status, {}), BulkContext("NAME", "INDEX"), 0, 0)


def _classify_items(response: ClusterResponse, context: BulkContext, rows: int) -> Outcome:
    not_bulk = Paused(
        f"The server answers without naming documents ({response.describe()}), so it is not a cluster's bulk API. Check"
        f" destinations.{context.destination}.endpoint, and any proxy on the way.",
        200,
    )
    try:
        answer = response.document()
    except ValueError:
        broken_off = not response.content.lstrip().startswith(b"<")
        return Retry("The answer broke off.", 200) if broken_off else not_bulk
    match answer:
        case {"items": list(items)} if len(items) != rows:
            return Retry(f"The answer names {len(items)} of {rows} documents.", 200)
        case {"items": list(items)}:
            try:
                return judge(items, context.problem, response.redact)
            except (LookupError, TypeError, ValueError, AttributeError):
                return not_bulk
        case _:
            return not_bulk

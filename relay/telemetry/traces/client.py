"""One request to the collector of traces; its outcome is a value."""

import asyncio
import gzip
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from relay.errors import describe, one_line
from relay.retry import retry_after_seconds
from relay.telemetry.traces.encoding import rejected_spans
from relay.timestamps import now_ms

RETRYABLE = frozenset({429, 502, 503, 504})
"""Source: OTLP 1.5, "OTLP/HTTP Response": a client sends the same body again after these statuses alone."""
MAX_RETRY_AFTER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Taken:
    """The collector has answered. `rejected`: how many spans of the body it says it has dropped."""

    rejected: int = 0


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The collector has not taken the body. `reason` is a clause without a full stop, and shows no secret."""

    reason: str
    may_pass: bool
    after_seconds: float = 0.0
    """How long the collector asks to wait, at most 30 s."""


class TraceClient:
    """Posts bodies to one URL with the same headers. A redirect is an answer: headers go to no other host."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, headers: Mapping[str, str], seconds: float = 10.0
    ) -> None:
        """`headers` are read at each request, since a secret may change. `seconds`: to the whole answer."""
        self._http = http
        self._url = url
        self._headers = headers
        self._seconds = seconds

    async def post(self, body: bytes) -> Taken | NotTaken:
        """Post a body of OTLP in protobuf. Raises nothing but CancelledError."""
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._http.post(
                    self._url,
                    content=await asyncio.to_thread(gzip.compress, body, 6),
                    headers={
                        **self._headers,
                        "Content-Type": "application/x-protobuf",
                        "Content-Encoding": "gzip",
                    },
                )
        except TimeoutError:
            return NotTaken(f"it does not answer within {self._seconds:g} s", may_pass=True)
        except Exception as error:  # noqa: BLE001 - the libraries below raise more than they document
            return NotTaken(f"the connection failed ({_cause(error)})", may_pass=True)
        if response.is_success:
            return Taken(rejected_spans(response.content))
        after = retry_after_seconds(
            response.headers.get("Retry-After"), now_ms(), maximum=MAX_RETRY_AFTER_SECONDS
        )
        return NotTaken(
            f"it answers {response.status_code}",
            may_pass=response.status_code in RETRYABLE,
            after_seconds=after or 0.0,
        )


def _cause(error: Exception) -> str:
    """Return the text of an error of the network, and the name of any other: it may quote a header."""
    if isinstance(error, OSError | httpx.NetworkError | httpx.ProxyError):
        return one_line(describe(error), 200)
    return type(error).__name__

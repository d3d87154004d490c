"""The one call of Azure Monitor's Logs Ingestion API, and what its answers mean."""

import asyncio
import io
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import orjson
from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline import policies
from azure.monitor.ingestion.aio import LogsIngestionClient

from consumer.destinations.credentials import open_credential
from consumer.outcomes import Outcome, Paused, Reject, Retry, Sent, Split
from relay.errors import RelayError
from relay.hosts import read_origin
from relay.retry import retry_after_seconds
from relay.settings import Destination

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
LONGEST_RETRY_AFTER_SECONDS = 900.0

_CLOUDS = {  # endpoint suffix and token scope (Microsoft's Logstash plugin 2.5.1; logs-ingestion-api-overview)
    "public": (".ingest.monitor.azure.com", "https://monitor.azure.com/.default"),
    "usgov": (".ingest.monitor.azure.us", "https://monitor.azure.us/.default"),
    "china": (".ingest.monitor.azure.cn", "https://monitor.azure.cn/.default"),
}
# It warns of each failure in several lines; we say it in one, with what to do.
logging.getLogger("azure.identity").setLevel(logging.ERROR)

_TRANSIENT = frozenset({408, 425, 429})


def check_endpoint(name: str, destination: Destination) -> None:
    """Tokens and events go to Azure Monitor's own hosts alone, and to this machine. Raises RelayError."""
    origin = read_origin(destination.endpoint)
    suffix, _ = _CLOUDS[destination.cloud]
    azure = origin.scheme == "https" and origin.port is None and origin.host.endswith(suffix)
    if not (azure or origin.loopback):
        raise RelayError(
            f"destinations.{name}.endpoint is {destination.endpoint}, which is no host of Azure Monitor: take the rule's logs"
            f" ingestion endpoint, https://….ingest.monitor.azure… with the ending {suffix} for the cloud {destination.cloud}."
        )


class _NoTokenError(Exception):
    def __init__(self, outcome: Retry | Paused) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class _Tokens:
    """A credential that says in our words why there is no token, and can be made to forget the one it has."""

    def __init__(self, name: str, destination: Destination) -> None:
        self._name = name
        self._destination = destination
        self._inner: AsyncTokenCredential | None = None
        self._lock = asyncio.Lock()
        self.generation = 0

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        async with self._lock:
            try:
                if self._inner is None:
                    self._inner = open_credential(self._destination.credential, self._destination.cloud)
                return await self._inner.get_token(*scopes, **kwargs)
            except (AzureError, ValueError, OSError) as error:
                await self._forget()  # the next one reads its variables and files again
                raise _NoTokenError(self._meaning(error)) from error

    async def renew(self, generation: int) -> None:
        """Forget the token of this generation: azure-identity would give it out until it expires."""
        async with self._lock:
            if generation == self.generation:
                self.generation += 1
                await self._forget()

    async def close(self) -> None:
        async with self._lock:
            await self._forget()

    async def _forget(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner.close()

    def _meaning(self, error: Exception) -> Retry | Paused:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, ServiceRequestError | ServiceResponseError) or _passes(status):
            return Retry(f"Azure gives no token just now: {_words(error)}", status)
        return Paused(
            f"Azure gives no token for the credential {self._destination.credential}: {_words(error)}"
            f" Check destinations.{self._name}.credential and the AZURE_… variables it reads.",
            status,
        )


class Ingestion:
    """Sends bodies to the streams of one data collection rule. Any number of calls at a time.

    One call, one request: nothing here waits or tries again, apart from one new token after a 401. Every call ends within
    `call_seconds`; `send` raises nothing but cancellation.
    """

    def __init__(self, name: str, destination: Destination, call_seconds: float) -> None:
        check_endpoint(name, destination)
        self._name = name
        self._destination = destination
        self._call_seconds = call_seconds
        self._tokens = _Tokens(name, destination)
        self._client = _client(destination, self._tokens)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        await self._tokens.close()

    async def send(self, stream: str, body: bytes) -> Outcome:
        """One request with this gzip-compressed JSON array. A Retry may follow on a request that was obeyed."""
        try:
            async with asyncio.timeout(self._call_seconds):
                return await self._send_with_a_good_token(stream, body)
        except TimeoutError:
            return Retry(f"Azure did not answer within {self._call_seconds:g} s.")

    async def _send_with_a_good_token(self, stream: str, body: bytes) -> Outcome:
        generation = self._tokens.generation
        outcome = await self._request(stream, body)
        if outcome == _EXPIRED:
            await self._tokens.renew(generation)
            outcome = await self._request(stream, body)
        return self._refused_token() if outcome == _EXPIRED else outcome

    async def _request(self, stream: str, body: bytes) -> Outcome:
        rule_id = self._destination.rule_id
        https = self._destination.endpoint.startswith("https:")
        try:
            await self._client.upload(rule_id, stream, io.BytesIO(body), enforce_https=https)
        except _NoTokenError as error:
            return error.outcome
        except HttpResponseError as error:
            answer = _answer(error)
            return meaning(answer, Target(self._name, rule_id, stream), _now_ms())
        except (AzureError, OSError, ValueError) as error:
            return Retry(f"The connection to Azure failed: {_words(error)}")
        return Sent()

    def _refused_token(self) -> Paused:
        return Paused(
            f"Azure refuses our token, a new one too (401): check destinations.{self._name}.credential, its tenant, and that"
            f" destinations.{self._name}.cloud is the cloud of the endpoint.",
            401,
        )


def _client(destination: Destination, tokens: _Tokens) -> LogsIngestionClient:
    """No redirects, no retries, no logging of requests: the token goes to the endpoint, once, and nowhere else."""
    _, scope = _CLOUDS[destination.cloud]
    credential = cast("AsyncTokenCredential", tokens)
    chain = [
        policies.RequestIdPolicy(),
        policies.HeadersPolicy(),
        policies.UserAgentPolicy("jira-audit-relay"),
        policies.AsyncBearerTokenCredentialPolicy(credential, scope),
    ]
    return LogsIngestionClient(
        destination.endpoint,
        credential,
        policies=chain,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
    )


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


_EXPIRED = Paused("the token is refused", 401)


def meaning(answer: Answer, target: Target, now_ms: int) -> Outcome:
    """The outcome that an answer stands for (reference: Logs Ingestion API, troubleshooting)."""
    status, said = answer.status, _said(answer)
    match status:
        case 200 | 202 | 204 if not answer.content.strip():
            return Sent()
        case 400 | 422:
            return Reject(said, status)
        case 401:
            return _EXPIRED
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
        case _ if _passes(status) or status < 300:
            return Retry(said, status, _retry_after(answer.headers, now_ms))
        case _:
            return Paused(
                f"What answers at destinations.{target.destination}.endpoint does not take logs ({said}): check the endpoint, and"
                " any proxy on the way.",
                status,
            )


def _passes(status: int | None) -> bool:
    return status is not None and (status in _TRANSIENT or status >= 500)


def _retry_after(headers: Mapping[str, str], now_ms: int) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        try:
            return min(max(float(headers[name]) / 1000, 0.0), LONGEST_RETRY_AFTER_SECONDS)
        except (KeyError, ValueError):
            continue
    return retry_after_seconds(headers.get("Retry-After"), now_ms, largest=LONGEST_RETRY_AFTER_SECONDS)


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
    parts = [str(answer.status), str(code or ""), _one_line(message), f"request {request}" if request else ""]
    return " ".join(part for part in parts if part)


def _answer(error: HttpResponseError) -> Answer:
    response = cast("Any", error.response)
    try:
        content = response.content
    except (AzureError, ValueError, OSError):  # it came only in part
        content = b""
    return Answer(response.status_code, response.headers, content)


def _words(error: Exception) -> str:
    return _one_line(str(error) or type(error).__name__)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 400 else f"{line[:400]}…"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

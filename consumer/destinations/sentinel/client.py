"""The one call of Azure Monitor's Logs Ingestion API."""

import asyncio
import io
from typing import Any, Self, cast

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline import policies
from azure.monitor.ingestion.aio import LogsIngestionClient

from consumer.destinations.outcome import Outcome, Paused, Retry, Sent
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.destinations.sentinel.credentials import RenewableCredential, TokenUnavailableError
from consumer.destinations.sentinel.response import (
    TOKEN_REFUSED,
    IngestionResponse,
    IngestionTarget,
    classify,
    describe_error,
)
from relay.credentials.url_policy import parse_origin
from relay.errors import RelayError
from relay.timestamps import now_ms

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0

_CLOUDS = {  # endpoint suffix and token scope (Microsoft's Logstash plugin 2.5.1; logs-ingestion-api-overview)
    "public": (".ingest.monitor.azure.com", "https://monitor.azure.com/.default"),
    "usgov": (".ingest.monitor.azure.us", "https://monitor.azure.us/.default"),
    "china": (".ingest.monitor.azure.cn", "https://monitor.azure.cn/.default"),
}


def check_endpoint(name: str, destination: SentinelConfig) -> None:
    """Tokens and events go to Azure Monitor's own hosts alone, and to this machine. Raises RelayError."""
    origin = parse_origin(destination.endpoint)
    suffix, _ = _CLOUDS[destination.cloud]
    azure = origin.scheme == "https" and origin.port is None and origin.host.endswith(suffix)
    if not (azure or origin.loopback):
        raise RelayError(
            f"destinations.{name}.endpoint is {destination.endpoint}, which is no host of Azure Monitor: take the rule's logs"
            f" ingestion endpoint, https://….ingest.monitor.azure… with the ending {suffix} for the cloud {destination.cloud}."
        )


class IngestionClient:
    """Sends bodies to the streams of one data collection rule. Any number of calls at a time.

    One call, one request: nothing here waits or tries again, apart from one new token after a 401. Every call ends within
    `timeout_seconds`; `send` raises nothing but cancellation.
    """

    def __init__(self, name: str, destination: SentinelConfig, timeout_seconds: float) -> None:
        check_endpoint(name, destination)
        self._name = name
        self._destination = destination
        self._timeout_seconds = timeout_seconds
        self._credential = RenewableCredential(name, destination)
        self._client = _client(destination, self._credential)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        await self._credential.close()

    async def send(self, stream: str, body: bytes) -> Outcome:
        """One request with this gzip-compressed JSON array. A Retry may follow on a request that was obeyed."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._send_with_valid_token(stream, body)
        except TimeoutError:
            return Retry(f"Azure did not answer within {self._timeout_seconds:g} s.")

    async def _send_with_valid_token(self, stream: str, body: bytes) -> Outcome:
        generation = self._credential.generation
        outcome = await self._request(stream, body)
        if outcome is TOKEN_REFUSED:
            await self._credential.renew(generation)
            outcome = await self._request(stream, body)
        return self._token_refused() if outcome is TOKEN_REFUSED else outcome

    async def _request(self, stream: str, body: bytes) -> Outcome:
        rule_id = self._destination.rule_id
        https = self._destination.endpoint.startswith("https:")
        try:
            await self._client.upload(rule_id, stream, io.BytesIO(body), enforce_https=https)
        except TokenUnavailableError as error:
            return error.outcome
        except (AzureError, OSError, ValueError) as error:
            if isinstance(error, HttpResponseError) and error.response is not None:
                return classify(_response(error), IngestionTarget(self._name, rule_id, stream), now_ms())
            return Retry(
                f"The connection to Azure failed: {describe_error(error)}"
            )  # also in the midst of the answer
        return Sent()

    def _token_refused(self) -> Paused:
        return Paused(
            f"Azure refuses our token, a new one too (401): check destinations.{self._name}.credential, its tenant, and that"
            f" destinations.{self._name}.cloud is the cloud of the endpoint.",
            401,
        )


def _client(destination: SentinelConfig, renewable: RenewableCredential) -> LogsIngestionClient:
    """No redirects, no retries, no logging of requests: the token goes to the endpoint, once, and nowhere else."""
    _, scope = _CLOUDS[destination.cloud]
    credential = cast("AsyncTokenCredential", renewable)
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
        use_env_settings=destination.endpoint.startswith("https:"),  # in clear to this machine, by no proxy
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
    )


def _response(error: HttpResponseError) -> IngestionResponse:
    response = cast("Any", error.response)
    try:
        content = response.content
    except (AzureError, ValueError, OSError):  # it came only in part
        content = b""
    return IngestionResponse(response.status_code, response.headers, content)

"""The client of Azure Monitor's Logs Ingestion API: one call, one request."""

import asyncio
from typing import Self

import httpx
from azure.core.exceptions import AzureError

from consumer.destinations.azure_ingestion.config import IngestionSettings
from consumer.destinations.azure_ingestion.credentials import RenewableCredential, TokenUnavailableError
from consumer.destinations.azure_ingestion.response import (
    TOKEN_REJECTED,
    IngestionContext,
    classify,
    describe_error,
    token_rejected,
)
from consumer.destinations.azure_ingestion.upload import Uploader
from consumer.destinations.outcome import Outcome, Retry
from relay.errors import RelayError
from relay.timestamps import now_ms
from relay.url_policy import parse_origin

_CLOUDS = {  # endpoint suffix and token scope (Microsoft's Logstash plugin 2.5.1; logs-ingestion-api-overview)
    "public": (".ingest.monitor.azure.com", "https://monitor.azure.com/.default"),
    "usgov": (".ingest.monitor.azure.us", "https://monitor.azure.us/.default"),
    "china": (".ingest.monitor.azure.cn", "https://monitor.azure.cn/.default"),
}


def check_endpoint(name: str, destination: IngestionSettings) -> None:
    """Raise RelayError unless the endpoint is a host of Azure Monitor or this machine: it receives tokens and events."""
    origin = parse_origin(destination.endpoint)
    suffix, _ = _CLOUDS[destination.cloud]
    azure = origin.scheme == "https" and origin.port is None and origin.host.endswith(suffix)
    if not (azure or origin.loopback):
        raise RelayError(
            f"destinations.{name}.endpoint is {destination.endpoint}, which is not a host of Azure Monitor. Set it to the logs"
            f" ingestion endpoint of the rule: https://…{suffix} for the cloud {destination.cloud}."
        )


class IngestionClient:
    """Sends bodies to the streams of one data collection rule; any number of calls at a time.

    A call makes one request, and one more with a new token after a 401. It ends within `timeout_seconds`, and raises nothing
    but CancelledError.
    """

    def __init__(self, name: str, destination: IngestionSettings, timeout_seconds: float) -> None:
        check_endpoint(name, destination)
        self._name = name
        self._destination = destination
        self._timeout_seconds = timeout_seconds
        self._credential = RenewableCredential(name, destination)
        _, scope = _CLOUDS[destination.cloud]
        self._client = Uploader(destination.endpoint, scope, self._credential)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        await self._credential.close()

    async def send(self, stream: str, body: bytes) -> Outcome:
        """Send a gzip-compressed JSON array to `stream`. After a Retry the rows may have been accepted nevertheless."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._send_with_valid_token(stream, body)
        except TimeoutError:
            return Retry(f"Azure did not answer within {self._timeout_seconds:g} s.")

    async def _send_with_valid_token(self, stream: str, body: bytes) -> Outcome:
        generation = self._credential.generation
        outcome = await self._request(stream, body)
        if outcome is TOKEN_REJECTED:
            await self._credential.renew(generation)
            outcome = await self._request(stream, body)
        return token_rejected(self._name) if outcome is TOKEN_REJECTED else outcome

    async def _request(self, stream: str, body: bytes) -> Outcome:
        rule_id = self._destination.rule_id
        try:
            response = await self._client.upload(rule_id, stream, body)
        except TokenUnavailableError as error:
            return error.outcome
        except (httpx.HTTPError, AzureError, OSError, ValueError) as error:
            # also when the connection breaks within the answer
            return Retry(f"The connection to Azure failed: {describe_error(error)}")
        except Exception as error:  # noqa: BLE001 - the libraries below raise more than they document
            return Retry(f"Azure's answer could not be read: {type(error).__name__}: {describe_error(error)}")
        return classify(response, IngestionContext(self._name, rule_id, stream), now_ms())

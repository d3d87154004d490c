"""One request to the Logs Ingestion API over a connection that is kept."""

import asyncio
import time
import uuid
from typing import Any
from urllib.parse import quote

from azure.core.credentials import AccessToken
from azure.core.rest import HttpRequest

from consumer.destinations.azure_ingestion.connections import CONNECT_SECONDS, READ_SECONDS, PostConnections
from consumer.destinations.azure_ingestion.credentials import RenewableCredential
from consumer.destinations.azure_ingestion.response import IngestionResponse
from relay.credentials.azure import AzureTransport
from relay.proxies import read_proxy_rules

_API_VERSION = "2023-01-01"
_TOKEN_MARGIN_SECONDS = 300
"""How long before its end a token is replaced, as azure-core's policy does."""


class Uploader:
    """Makes the requests that `LogsIngestionClient.upload` makes, without its chain of policies and without its transport.

    The chain takes a millisecond of CPU time for each request, and the transport a third of one (benchmarks/posts.py); through a
    proxy it is used nevertheless. There are no redirects, no retries and no request logs: the token goes to the endpoint once, and nowhere else.
    """

    def __init__(self, endpoint: str, scope: str, credential: RenewableCredential) -> None:
        """`credential` is closed by its owner. Raises SettingsError for a wrong variable of a proxy or of CA certificates."""
        self._endpoint = endpoint.rstrip("/")
        self._scope = scope
        self._credential = credential
        self._connections = PostConnections(self._endpoint)
        self._proxied: AzureTransport | None = None
        """Of an endpoint behind a proxy alone: it loads all certificates once more, which takes 30 ms."""
        if read_proxy_rules().find(self._endpoint) is not None:
            self._proxied = AzureTransport(connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        self._token: AccessToken | None = None
        self._token_generation = 0
        self._token_request = asyncio.Lock()

    async def close(self) -> None:
        self._connections.close()
        if self._proxied is not None:
            await self._proxied.close()

    async def upload(self, rule_id: str, stream: str, body: bytes) -> IngestionResponse:
        """Send a gzip-compressed JSON array, and return the whole answer.

        Raises httpx.HTTPError or AzureError when there is none, or only a part of it, and what the credential raises.
        """
        token = await self._valid_token()
        path = f"/dataCollectionRules/{quote(rule_id, safe='')}/streams/{quote(stream, safe='')}?api-version={_API_VERSION}"
        headers = request_headers(token.token)
        if self._proxied is None:
            return await self._connections.post(path, headers, body)
        request = HttpRequest("POST", self._endpoint + path, headers=headers, content=body)
        return _received(await self._proxied.send(request))

    async def _valid_token(self) -> AccessToken:
        """Return the token in memory. It is replaced shortly before its end, and once the credential was renewed."""
        token = self._kept_token()
        if token is not None:
            return token
        async with self._token_request:
            # The calls that waited share one token: Azure's command line runs a process of a second for each request.
            token = self._kept_token()
            if token is None:
                generation = self._credential.generation
                token = await self._credential.get_token(self._scope)
                self._token, self._token_generation = token, generation
            return token

    def _kept_token(self) -> AccessToken | None:
        """Return the token in memory. None: there is none, it ends soon, or the credential was renewed since."""
        token = self._token
        if token is None or self._token_generation != self._credential.generation:
            return None
        return token if token.expires_on - time.time() >= _TOKEN_MARGIN_SECONDS else None


def request_headers(token: str) -> dict[str, str]:
    """Return the headers of a request, without those of the connection and of the length."""
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "Accept": "application/json",
        "User-Agent": "jira-audit-relay",
        "x-ms-client-request-id": str(uuid.uuid4()),
    }


def _received(response: Any) -> IngestionResponse:
    """Return an answer that azure-core has read."""
    try:
        content = response.content
    except Exception:  # noqa: BLE001 - only a part arrived, or its encoding is wrong
        content = b""
    return IngestionResponse(response.status_code, response.headers, content)

"""One request to the Logs Ingestion API over a connection that is kept."""

import asyncio
import time
import uuid
from urllib.parse import quote

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from consumer.destinations.azure_ingestion.credentials import RenewableCredential
from relay.credentials.azure import AzureTransport

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0

_API_VERSION = "2023-01-01"
_ACCEPTED = 204
_TOKEN_MARGIN_SECONDS = 300
"""How long before its end a token is replaced, as azure-core's policy does."""


class Uploader:
    """Makes the requests that `LogsIngestionClient.upload` makes, without its chain of policies.

    The chain takes a millisecond of CPU time for each request. There are no redirects, no retries and no request logs: the
    token goes to the endpoint once, and nowhere else. Answers are read as azure-core reads them.
    """

    def __init__(self, endpoint: str, scope: str, credential: RenewableCredential) -> None:
        """`credential` is closed by its owner. Raises SettingsError for a wrong variable of a proxy or of CA certificates."""
        self._rules_url = f"{endpoint.rstrip('/')}/dataCollectionRules"
        self._scope = scope
        self._credential = credential
        self._transport = AzureTransport(connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        self._token: AccessToken | None = None
        self._token_generation = 0
        self._token_request = asyncio.Lock()

    async def close(self) -> None:
        await self._transport.close()

    async def upload(self, rule_id: str, stream: str, body: bytes) -> None:
        """Send a gzip-compressed JSON array. Return when Azure has accepted it.

        Raises HttpResponseError for another answer, another AzureError when there is none, and what the credential raises.
        """
        token = await self._valid_token()
        request = HttpRequest(
            "POST",
            f"{self._rules_url}/{quote(rule_id, safe='')}/streams/{quote(stream, safe='')}?api-version={_API_VERSION}",
            headers={
                "Authorization": f"Bearer {token.token}",
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                "Accept": "application/json",
                "User-Agent": "jira-audit-relay",
                "x-ms-client-request-id": str(uuid.uuid4()),
            },
            content=body,
        )
        response = await self._transport.send(request)
        if response.status_code != _ACCEPTED:
            raise HttpResponseError(response=response)

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

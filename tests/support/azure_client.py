"""A plain HTTP client of simulated Azure, for requests that no SDK sends."""

import io
import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from simulators.azure.world import AzureWorld

Answer = tuple[int, dict[str, Any], Mapping[str, str]]
"""Status, error object (empty if there is none) and headers."""


def make_row(number: int, **columns: Any) -> dict[str, Any]:
    """Return a row of the organization acme."""
    return {"EventId": number, "EventUid": f"acme/{number}", **columns}


class IngestionSender:
    """Sends ingestion calls with a valid token."""

    def __init__(self, azure: AzureWorld, session: aiohttp.ClientSession) -> None:
        self.azure = azure
        self.session = session
        self.token = azure.identity._issue(azure.identity.application_client, "https://monitor.azure.com")

    async def send(self, rows: bytes | Mapping[str, Any] | Sequence[Any], **changes: Any) -> Answer:
        """Send rows as JSON, or bytes as they are. `changes` are the options of `post`."""
        body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
        return await self.post(body, **changes)

    async def post(
        self,
        body: bytes | AsyncIterable[bytes],
        *,
        rule: str | None = None,
        stream: str | None = None,
        version: str | None = "2023-01-01",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a body; an iterable is sent without Content-Length. None as `version` leaves it out."""
        path = f"/dataCollectionRules/{rule or self.azure.rule_id}/streams/{stream or self.azure.stream}"
        sent = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        async with self.session.post(
            f"{self.azure.endpoint}{path}",
            params={"api-version": version} if version else {},
            data=io.BytesIO(body) if isinstance(body, bytes) else body,
            headers={**sent, **(headers or {})},
        ) as response:
            text = await response.text()
            error = json.loads(text)["error"] if response.content_type == "application/json" else {}
            return response.status, error, response.headers


@asynccontextmanager
async def running_azure(**options: Any) -> AsyncIterator[tuple[AzureWorld, IngestionSender]]:
    """Yield a running world and a sender; `options` are those of `AzureWorld`."""
    async with (
        AzureWorld(**options) as azure,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session,
    ):
        yield azure, IngestionSender(azure, session)

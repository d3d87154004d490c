"""The client of Azure's Logs Ingestion API, against a simulated Azure."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from consumer.destinations.azure_ingestion.body import encode_body
from consumer.destinations.azure_ingestion.client import IngestionClient
from consumer.destinations.outcome import Outcome
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.formats.encoded_rows import EncodedRows
from simulators.azure.world import AzureWorld


def row(number: int) -> bytes:
    return json.dumps({"EventId": number, "EventUid": f"acme/{number}"}).encode()


def body(encoded: Sequence[bytes]) -> bytes:
    return encode_body(EncodedRows.of(encoded, b","))


def set_credentials(azure: AzureWorld, credential: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in azure.environment(credential).items():
        monkeypatch.setenv(name, value)


def destination(azure: AzureWorld, **fields: Any) -> SentinelConfig:
    given = {"endpoint": azure.endpoint, "rule_id": azure.rule_id, "credential": "managed-identity", **fields}
    return SentinelConfig(kind="sentinel", **given)


@asynccontextmanager
async def ingestion_world(
    monkeypatch: pytest.MonkeyPatch,
    *,
    credential: str = "managed-identity",
    timeout_seconds: float = 60.0,
    **fields: Any,
) -> AsyncIterator[tuple[AzureWorld, Callable[..., Awaitable[Outcome]]]]:
    """Yield a simulated Azure, and a function that sends one row for each number."""
    async with AzureWorld() as azure:
        set_credentials(azure, credential, monkeypatch)
        target = destination(azure, credential=credential, **fields)
        async with IngestionClient("sentinel", target, timeout_seconds) as client:
            yield (
                azure,
                lambda *numbers: client.send(azure.stream, body([row(n) for n in numbers])),
            )

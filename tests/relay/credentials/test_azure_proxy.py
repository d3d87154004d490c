"""The proxy of Azure's libraries, which have an HTTP client of their own (relay.credentials.azure)."""

import asyncio

import pytest

from consumer.destinations.azure_ingestion.client import IngestionClient
from consumer.destinations.outcome import Retry
from simulators.azure.world import AzureWorld
from tests.support.ingestion_world import body, destination, row, set_credentials

ENDPOINT = "https://relay.ingest.monitor.azure.com"


@pytest.fixture
async def azure(monkeypatch):
    async with AzureWorld() as world:
        set_credentials(world, "managed-identity", monkeypatch)
        yield world


@pytest.mark.parametrize("address", ["127.0.0.1:9", "proxy.invalid:3128"])
async def test_a_proxy_of_azure_that_is_not_there_is_named_with_its_variable(address, azure, monkeypatch):
    """Azure's libraries have a client of their own; the endpoint is not to blame, and no password is shown."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://relay:s3cret@{address}")
    target = destination(azure, endpoint=ENDPOINT)
    async with IngestionClient("sentinel", target, 10.0) as client:
        outcome = await client.send(azure.stream, body([row(1)]))
    assert isinstance(outcome, Retry)
    assert f"no connection through the proxy {address}, check HTTPS_PROXY" in outcome.reason
    assert "s3cret" not in outcome.reason


async def test_a_proxy_that_refuses_azure_shows_no_password(azure, monkeypatch):
    """It wants other credentials (407): the connection fails, and the status says so."""

    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        monkeypatch.setenv(
            "HTTPS_PROXY", f"http://relay:s3cret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        )
        target = destination(azure, endpoint=ENDPOINT)
        async with IngestionClient("sentinel", target, 10.0) as client:
            outcome = await client.send(azure.stream, body([row(1)]))
    assert isinstance(outcome, Retry)
    assert "refuses the connection (407), check HTTPS_PROXY" in outcome.reason
    assert "s3cret" not in outcome.reason

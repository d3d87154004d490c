import httpx
import pytest

from relay.schema_registry.client import SchemaRegistryClient
from tests.support.registry_connection import CuttableTransport


@pytest.fixture
async def transport(real_registry):
    transport = CuttableTransport()
    async with httpx.AsyncClient(base_url=real_registry, transport=transport, timeout=60) as client:
        transport.registry = SchemaRegistryClient(client)
        yield transport

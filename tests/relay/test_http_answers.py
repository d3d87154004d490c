"""An answer belongs to one request: a server that answers twice accepts nothing in the name of the next request."""

import asyncio
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from relay.direct_transport import KeptConnections
from relay.http import open_transport

ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\naccepted"
FAILED = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
BARE = b"HTTP/1.1 204 No Content\r\n\r\n"


@asynccontextmanager
async def server(answers):
    """Yield the URL of a server that gives these answers, one a request on any connection, and the number of connections."""
    remaining, connections = list(answers), []

    async def serve(reader, writer):
        connections.append(writer)
        with suppress(asyncio.IncompleteReadError, OSError):
            while remaining:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                writer.write(remaining.pop(0))
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/", connections


KEPT = KeptConnections(most=2, seconds=60.0)


@pytest.fixture(params=["httpx", "direct"])
async def client(request):
    transport = open_transport(kept=KEPT if request.param == "direct" else None)
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=60) as client:
        yield client


@pytest.mark.parametrize("first", [ACCEPTED, BARE])
@pytest.mark.parametrize("second", [ACCEPTED, BARE, b"HTTP/1.1 200 OK\r\n", b"\r\n", b"surplus"])
async def test_a_second_answer_is_not_read_for_the_next_request(client, first, second):
    """The next request has an answer of its own, over another connection."""
    async with server([first + second, FAILED]) as (url, connections):
        assert (await client.get(url)).is_success
        assert (await client.get(url)).status_code == 503
    assert len(connections) == 2


async def test_a_connection_is_kept_otherwise(client):
    async with server([ACCEPTED, BARE, FAILED, ACCEPTED]) as (url, connections):
        found = [(await client.get(url)).status_code for _ in range(4)]
    assert found == [200, 204, 503, 200]
    assert len(connections) == 1

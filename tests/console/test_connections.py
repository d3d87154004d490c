"""Connections that send no request, or not the whole of one."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from console.server import _Server, _uvicorn_config, open_socket

HEAD_SECONDS = 0.2
REQUEST = b"GET /slow HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
async def address():
    """The address of a server whose answers take longer than it waits for the head of a request."""

    async def app(scope, receive, send):
        await asyncio.sleep(3 * HEAD_SECONDS)
        await PlainTextResponse("here")(scope, receive, send)

    listener = open_socket("127.0.0.1:0")
    server = _Server(_uvicorn_config(app, HEAD_SECONDS))
    serving = asyncio.create_task(server.serve([listener]))
    yield listener.getsockname()
    server.should_exit = True
    await serving


async def test_a_connection_without_a_whole_head_ends(address):
    """Otherwise as many as the console takes would keep everybody out."""
    async with asyncio.timeout(60):
        for sent in (b"", b"GET / HT", REQUEST):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(sent)
            assert await ended(reader)
            writer.close()


async def test_an_answer_may_take_longer_than_a_head_and_what_follows_it_has_an_end_too(address):
    """The wait begins again after each answer."""
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(REQUEST + b"\r\n")
        assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200 ")
        writer.write(REQUEST)
        assert await ended(reader)
        writer.close()


async def ended(reader):
    """Return whether the peer has ended the connection without an answer."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True

"""The answers to a POST request: a plain 204 by itself, each other one through h11."""

import asyncio
import contextlib
from contextlib import asynccontextmanager

import httpx
import pytest

from relay.post_connection import PostConnection

SECONDS = 20.0
HEAD = b"POST /rows HTTP/1.1\r\nHost: here\r\n"
PLAIN = b"HTTP/1.1 204 No Content\r\nDate: today\r\nContent-Length: 0\r\n\r\n"
WHOLE = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nwrong"


@asynccontextmanager
async def server(*answers, ends=False):
    """Answer each request by the next of `answers`, in pieces where it is a list; yield a connection, and what it sent."""
    received = []

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            for answer in answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                received.append((head, await reader.readexactly(length)))
                for piece in answer if isinstance(answer, list) else [answer]:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)  # so that the pieces arrive one by one
            if not ends:
                await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        connection = await PostConnection.open("127.0.0.1", port, None, SECONDS)
        try:
            yield connection, received
        finally:
            connection.close()


async def post(connection, content=b"rows"):
    response = await connection.post(HEAD, content, SECONDS)
    return response.status_code, b"" if response.status_code == 204 else await response.aread()


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (PLAIN, (204, b"")),
        ([PLAIN[:30], PLAIN[30:]], (204, b"")),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN, (204, b"")),
        (WHOLE, (400, b"wrong")),
        ([WHOLE[:30], WHOLE[30:-2], WHOLE[-2:]], (400, b"wrong")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", (200, b"ok")),
    ],
    ids=["plain", "in pieces", "after a hint", "error", "error in pieces", "chunks"],
)
async def test_the_next_request_has_its_own_answer(first, expected):
    """Whichever way the first answer was read, the connection is used again, and each request is sent whole."""
    async with server(first, PLAIN, WHOLE) as (connection, received):
        assert await post(connection, b"a" * 300_000) == expected
        assert connection.reusable
        assert await post(connection, b"b") == (204, b"")
        assert connection.reusable
        assert await post(connection, b"") == (400, b"wrong")
    assert [content for _, content in received] == [b"a" * 300_000, b"b", b""]
    assert {head for head, _ in received} == {
        HEAD + b"Content-Length: %d\r\n\r\n" % size for size in (300_000, 1, 0)
    }


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN + PLAIN,
        PLAIN + b"x",
        PLAIN.replace(b"Date: today", b"Connection: close"),
        b"HTTP/1.0 204 No Content\r\n\r\n",
        [PLAIN, PLAIN],
    ],
    ids=["twice", "more", "close", "HTTP/1.0", "twice, later"],
)
async def test_a_connection_with_more_than_one_answer_or_without_a_next_one_is_not_used_again(answer):
    async with server(answer) as (connection, _):
        assert await post(connection) == (204, b"")
        async with asyncio.timeout(SECONDS):
            while connection.reusable:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        PLAIN[:-1],
        WHOLE[:-1],
        b"HTTP/1.1 204\0\r\n\r\n",
        PLAIN.replace(b"Date: today", b"Date\0: today"),
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ],
    ids=["nothing", "short", "short error", "a zero", "a zero in a name", "not HTTP"],
)
async def test_a_broken_answer_is_no_answer(answer):
    async with server(answer, ends=True) as (connection, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await post(connection)
        assert not connection.reusable


async def test_a_connection_that_ended_takes_no_request():
    async with server(ends=True) as (connection, _):
        async with asyncio.timeout(SECONDS):
            while connection.reusable:
                await asyncio.sleep(0.01)
        with pytest.raises(httpx.HTTPError):
            await post(connection)


async def test_a_server_without_an_answer_is_given_up():
    async with server(b"") as (connection, _):
        with pytest.raises(httpx.ReadTimeout):
            await connection.post(HEAD, b"rows", 0.1)

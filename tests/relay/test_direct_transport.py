"""The transport without a pool: whole answers, errors that say what broke, and connections that end."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from unittest.mock import Mock

import httpx
import pytest

from relay.direct_transport import DirectTransport, KeptConnections
from relay.http import create_tls_context
from relay.http_connection import EVENTS_A_TURN, MAX_BUFFERED_BYTES, HttpConnection

SECONDS = 30.0
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"


@asynccontextmanager
async def server(*answers, ends=True):
    """Yield the URL of a server that gives these answers on its connections, one a request, and its connections.

    `ends`: whether it closes a connection that has had the last one.
    """
    remaining, connections = list(answers), []

    async def serve(reader, writer):
        connections.append(writer)
        with suppress(asyncio.IncompleteReadError, OSError):
            while await reader.readuntil(b"\r\n\r\n"):
                if remaining:
                    writer.write(remaining.pop(0))
                if not remaining and ends:
                    break
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/page?limit=1", connections


@asynccontextmanager
async def transport(most=10, kept_seconds=60.0):
    async with DirectTransport(create_tls_context(), KeptConnections(most, kept_seconds)) as found:
        yield found


async def get(sender, url, seconds=SECONDS):
    timeouts = dict.fromkeys(("connect", "read"), seconds)
    response = await sender.handle_async_request(httpx.Request("GET", url, extensions={"timeout": timeouts}))
    try:
        return response.status_code, await response.aread()
    finally:
        await response.aclose()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n2\r\nle\r\n0\r\n\r\n"
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [WHOLE, CHUNKED, HINT + WHOLE, b"HTTP/1.1 200 OK\r\n\r\nwhole", b"HTTP/1.0 200 OK\r\n\r\nwhole"],
    ids=["length", "chunks", "after a hint", "to its end", "HTTP/1.0"],
)
async def test_an_answer_is_read_to_its_end(answer):
    """Its end is where its length, its last chunk, or the end of the connection is."""
    async with server(answer) as (url, _), transport() as sender:
        assert await get(sender, url) == (200, b"whole")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 O", httpx.RemoteProtocolError),
        (WHOLE[:-1], httpx.RemoteProtocolError),
        (CHUNKED[:-5], httpx.RemoteProtocolError),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", httpx.RemoteProtocolError),
    ],
    ids=["nothing", "no head", "short", "no last chunk", "not HTTP"],
)
async def test_a_broken_answer_is_no_answer(answer, error):
    """None of it passes for a whole one, and its connection is not used again."""
    async with server(answer) as (url, connections), transport() as sender:
        with pytest.raises(error):
            await get(sender, url)
        with pytest.raises(error):
            await get(sender, url)
    assert len(connections) == 2


async def test_a_server_without_an_answer_is_given_up():
    async with server(ends=False) as (url, _), transport() as sender:
        with pytest.raises(httpx.ReadTimeout):
            await get(sender, url, seconds=0.1)


async def test_a_refused_connection_has_its_cause():
    """Callers tell by the cause whether the name, the network or TLS was the fault."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with transport() as sender:
            with pytest.raises(httpx.ConnectError) as caught:
                await get(sender, f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_a_kept_connection_that_the_server_closed_is_not_used():
    """The next request has a connection of its own, and an answer."""
    async with server(WHOLE) as (url, connections), transport() as sender:
        await get(sender, url)
        async with asyncio.timeout(SECONDS):
            while any(one.reusable for one, _ in sender._idle.values()):
                await asyncio.sleep(0.01)
        with pytest.raises(httpx.RemoteProtocolError):  # the second connection has no answer
            await get(sender, url)
    assert len(connections) == 2


@pytest.mark.parametrize("late", [b"", WHOLE], ids=["its end", "another answer"])
async def test_what_has_come_on_a_kept_connection_is_seen_before_the_loop_takes_it(late):
    """The loop was busy since: the request goes out on a connection of its own, and not into the old one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(SECONDS)

        def answer(text):
            connection, _ = listening.accept()
            connection.recv(65_536)
            connection.sendall(text)
            return connection

        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        async with transport() as sender:
            first, found = await asyncio.gather(asyncio.to_thread(answer, WHOLE), get(sender, url))
            assert found == (200, b"whole")
            first.sendall(late)
            if not late:
                first.close()
            second = asyncio.get_running_loop().run_in_executor(
                None, answer, WHOLE.replace(b"whole", b"other")
            )
            assert await get(sender, url) == (200, b"other")
            first.close()
            (await second).close()


async def test_a_host_is_named_in_ascii(monkeypatch):
    """Python's own encoding of a host in Unicode would ask for strasse.example, which belongs to somebody else."""
    loop, asked = asyncio.get_running_loop(), []

    async def unknown(host, *_, **__):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(loop, "getaddrinfo", unknown)  # the loop serves other tests too
    async with transport() as sender:
        with pytest.raises(httpx.ConnectError):
            await get(sender, "https://xn--strae-oqa.example/")
    assert asked == ["xn--strae-oqa.example"]


async def test_an_answer_without_a_length_does_not_end_where_its_connection_breaks():
    connection = HttpConnection()
    connection.connection_made(Mock())
    answer = asyncio.create_task(connection.request(b"GET", b"/", [(b"host", b"acme")], SECONDS))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    await answer
    body = asyncio.create_task(collect(connection))
    await asyncio.sleep(0)
    connection.connection_lost(ConnectionResetError("reset"))

    with pytest.raises(httpx.ReadError, match="reset"):
        await body


@pytest.mark.parametrize(
    "answer",
    [
        HINT * EVENTS_A_TURN + WHOLE,
        CHUNKED.replace(b"3\r\nwho", EVENTS_A_TURN * b"1\r\n.\r\n" + b"3\r\nwho"),
    ],
    ids=["hints", "chunks"],
)
async def test_an_answer_of_many_parts_leaves_other_tasks_their_turn(answer):
    connection, ended = HttpConnection(), []
    connection.connection_made(Mock())

    async def read():
        await connection.request(b"GET", b"/", [(b"host", b"acme")], SECONDS)
        await collect(connection)
        ended.append("answer")

    async def other():
        ended.append("other")

    connection.data_received(answer)
    await asyncio.gather(read(), other())
    assert ended == ["other", "answer"]


@pytest.mark.parametrize(("most", "seconds"), [(1, 60.0), (10, 0.0)], ids=["too many", "too old"])
async def test_kept_connections_are_bounded(most, seconds):
    """The oldest one is closed for a newer one, and each after its time."""
    async with (
        server(WHOLE, WHOLE, ends=False) as (first, connections),
        server(WHOLE, ends=False) as (second, _),
        transport(most, seconds) as sender,
    ):
        await get(sender, first)
        await get(sender, second)
        async with asyncio.timeout(SECONDS):
            await connections[0].wait_closed()
        await get(sender, first)
        assert len(connections) == 2


async def test_a_body_that_nobody_reads_is_left_in_the_socket():
    """Above the bound nothing more is taken from the socket, until somebody waits for it."""
    socket_of, connection = Mock(), HttpConnection()
    connection.connection_made(socket_of)
    answer = asyncio.create_task(connection.request(b"GET", b"/", [(b"host", b"acme")], SECONDS))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * MAX_BUFFERED_BYTES))
    assert await answer == (200, [(b"Content-Length", b"%d" % (2 * MAX_BUFFERED_BYTES))])

    connection.data_received(bytes(2 * MAX_BUFFERED_BYTES - 1))
    assert [name for name, *_ in socket_of.method_calls] == ["write", "pause_reading"]

    body = asyncio.create_task(collect(connection))
    await asyncio.sleep(0)
    assert [name for name, *_ in socket_of.method_calls] == ["write", "pause_reading", "resume_reading"]
    connection.data_received(b"1")
    assert await body == 2 * MAX_BUFFERED_BYTES


async def collect(connection):
    return sum([len(chunk) async for chunk in connection.body(SECONDS)])

"""Connections that send no request, or not the whole of one, or do not read their answer."""

import asyncio
from types import SimpleNamespace

import pytest
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from console.connections import LEAST_READ_BYTES, BoundedProtocol
from console.context import ConsoleTiming
from console.server import _Server, _uvicorn_config, open_socket

HEAD_SECONDS = 0.2
TIMING = ConsoleTiming(head_seconds=HEAD_SECONDS, read_seconds=HEAD_SECONDS)
REQUEST = b"GET /slow HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
async def address():
    """The address of a server whose answers take longer than it waits for the head of a request."""

    async def app(scope, receive, send):
        await asyncio.sleep(3 * HEAD_SECONDS)
        await PlainTextResponse("here")(scope, receive, send)

    listener = open_socket("127.0.0.1:0")
    server = _Server(_uvicorn_config(app, TIMING))
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


async def test_a_client_that_reads_nothing_loses_its_connection():
    """The handler of a long answer goes on then, and its memory is free; a handler that waits for it would never end."""
    ended_at_last = asyncio.Event()

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2_000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        await send({"type": "http.response.body"})
        ended_at_last.set()

    listener = open_socket("127.0.0.1:0")
    server = _Server(_uvicorn_config(app, TIMING))
    serving = asyncio.create_task(server.serve([listener]))
    async with asyncio.timeout(120):
        _, writer = await asyncio.open_connection(*listener.getsockname(), limit=1)
        writer.write(REQUEST + b"\r\n")
        await ended_at_last.wait()
        writer.close()
        server.should_exit = True
        await serving


@pytest.mark.parametrize(
    ("unread", "aborted"),
    [
        ([900_000, 900_000], True),
        ([900_000, 900_000 - LEAST_READ_BYTES + 1], True),
        ([900_000, 900_000 - LEAST_READ_BYTES, 700_000, 690_000], True),
        ([900_000, 700_000, 500_000, 300_000, 100_000], False),
    ],
)
def test_a_slow_reader_keeps_its_connection_while_it_reads(unread, aborted):
    """Each wait compares what is unread with the wait before; reading on resumes the writing, and ends the waits."""
    loop, transport = ManualLoop(), SlowTransport(unread)
    config = _uvicorn_config(app, TIMING)
    config.load()
    protocol = BoundedProtocol(config, ServerState(), {}, loop, head_seconds=9, read_seconds=30)
    protocol.connection_made(transport)
    protocol.pause_writing()
    for _ in unread[1:]:
        loop.pass_seconds(30)
    assert transport.aborted == aborted
    protocol.resume_writing()
    loop.pass_seconds(9)
    assert (transport.aborted, loop.waiting) == (True, [])


def test_an_answer_that_is_still_read_is_not_cut_for_the_next_head():
    """The wait for another request does not end a connection over which the last answer is on its way."""
    loop, transport = ManualLoop(), SlowTransport([900_000])
    config = _uvicorn_config(app, TIMING)
    config.load()
    protocol = BoundedProtocol(config, ServerState(), {}, loop, head_seconds=9, read_seconds=30)
    protocol.connection_made(transport)
    protocol.pause_writing()
    loop.pass_seconds(9)
    assert not transport.aborted
    protocol.resume_writing()
    loop.pass_seconds(9)
    assert transport.aborted


@pytest.mark.parametrize(
    ("left", "aborted"), [([20_000, 20_000], True), ([20_000, 19_000], True), ([20_000, 0], False)]
)
def test_the_end_of_an_answer_is_read_before_the_connection_ends(left, aborted):
    """The writing goes on below 16 KB, and a short answer never pauses it: what is left has the time of a slow reader."""
    loop, transport = ManualLoop(), SlowTransport(left)
    config = _uvicorn_config(app, TIMING)
    config.load()
    protocol = BoundedProtocol(config, ServerState(), {}, loop, head_seconds=9, read_seconds=30)
    protocol.connection_made(transport)
    loop.pass_seconds(9)
    assert not transport.aborted
    loop.pass_seconds(9)
    loop.pass_seconds(30)
    assert transport.aborted == aborted
    loop.pass_seconds(9)
    assert transport.aborted


async def app(_scope, _receive, _send):
    """An application that is not asked."""


class ManualLoop:
    """The timers of an event loop, whose time the test moves: those of one delay are called together."""

    def __init__(self):
        self.waiting = []

    def call_later(self, delay, callback):
        timer = SimpleNamespace(delay=delay, callback=callback)
        timer.cancel = lambda: timer in self.waiting and self.waiting.remove(timer)
        self.waiting.append(timer)
        return timer

    def pass_seconds(self, delay):
        due = [each for each in self.waiting if each.delay == delay]
        for timer in due:
            timer.cancel()
            timer.callback()


class SlowTransport:
    """A transport with this much unread at each look, and nothing after them."""

    def __init__(self, unread):
        self._unread = list(unread)
        self.aborted = False

    def get_write_buffer_size(self):
        return self._unread.pop(0) if self._unread else 0

    def get_extra_info(self, _name):
        return None

    def abort(self):
        self.aborted = True

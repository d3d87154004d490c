"""Each mode and each stage of the proxy has its effect."""

import asyncio
import contextlib
import struct

import pytest

from embedded import ports
from tests.support.kafka_proxy import END_TXN, PRODUCE, KafkaProxy, ProxyMode


def request(key, text=b""):
    body = struct.pack(">hhi", key, 0, 1) + text
    return struct.pack(">i", len(body)) + body


class EchoBroker:
    """A broker that answers each request with the same bytes, and keeps them."""

    def __init__(self):
        self.received = []

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(struct.unpack(">i", head)[0])
                self.received.append(head + body)
                writer.write(head + body)
        writer.close()


@contextlib.asynccontextmanager
async def connected_proxy():
    broker = EchoBroker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    async with server, KafkaProxy(ports.pick_free_port(), server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        try:
            yield broker, proxy, reader, writer
        finally:
            writer.transport.abort()


async def read_response(reader, size, seconds=30):
    async with asyncio.timeout(seconds):
        return await reader.readexactly(size)


async def wait_until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_requests_and_answers_pass():
    async with connected_proxy() as (broker, _, reader, writer):
        writer.write(request(PRODUCE, b"x" * 100_000))
        assert await read_response(reader, 100_012) == broker.received[0]


async def test_a_reset_closes_the_connection():
    async with connected_proxy() as (_, proxy, reader, writer):
        writer.write(request(PRODUCE))
        await read_response(reader, 12)
        proxy.reset_connections()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await read_response(reader, 1)


async def test_a_black_unread_range_delivers_its_bytes_when_it_ends():
    async with connected_proxy() as (broker, proxy, reader, writer):
        proxy.set_mode(ProxyMode.BLACK_HOLE)
        writer.write(request(PRODUCE))
        with pytest.raises(TimeoutError):
            await read_response(reader, 12, 0.2)
        assert broker.received == []
        proxy.set_mode(ProxyMode.OPEN)
        assert await read_response(reader, 12) == broker.received[0]


async def test_a_dropped_answer_never_arrives_after_a_forwarded_request():
    async with connected_proxy() as (broker, proxy, reader, writer):
        proxy.set_mode(ProxyMode.DROP_RESPONSES)
        writer.write(request(PRODUCE))
        await wait_until(lambda: broker.received)
        with pytest.raises(TimeoutError):
            await read_response(reader, 12, 0.2)
        proxy.set_mode(ProxyMode.OPEN)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await read_response(reader, 1)


@pytest.mark.parametrize(
    ("stage", "arrives"), [("instead", False), ("before", True), ("after", True), ("answered", True)]
)
async def test_a_trap_acts_at_its_request_alone(stage, arrives):
    """The action is called once, at a request of its kind, which the broker gets unless the stage is "instead"."""
    async with connected_proxy() as (broker, proxy, _, writer):
        sprung = []
        trap = asyncio.create_task(proxy.run_at_request(END_TXN, lambda: sprung.append(1), stage, 0.0, 60))
        await asyncio.sleep(0)
        writer.write(request(PRODUCE))
        await wait_until(lambda: len(broker.received) == 1)
        assert not sprung
        writer.write(request(END_TXN))
        assert await trap
        if arrives:
            await wait_until(lambda: len(broker.received) == 2)
        assert (len(sprung), len(broker.received)) == (1, 2 if arrives else 1)


async def test_a_trap_without_its_request_returns_false():
    async with connected_proxy() as (_, proxy, _, _):
        assert not await proxy.run_at_request(END_TXN, lambda: None, "after", 0.0, 0.05)

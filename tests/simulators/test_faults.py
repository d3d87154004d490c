import asyncio
import time
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from simulators import faults
from simulators.fault_script import FaultScript

BODY = b'{"answer": "' + b"x" * 10_000 + b'"}'


class FaultyServer:
    """A server with one answer and a script."""

    def __init__(self):
        self.now = 0.0
        self.served = 0
        self.script = FaultScript(seed=3, clock=lambda: self.now)

    async def _serve_normally(self):
        self.served += 1
        return web.Response(body=BODY, content_type="application/json")

    async def handle(self, request):
        fault = self.script.next_fault(request)
        return await (fault.play(request, self._serve_normally) if fault else self._serve_normally())

    @asynccontextmanager
    async def client(self):
        runner = web.ServerRunner(web.Server(self.handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            port = runner.addresses[0][1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=2) as client:
                yield client
        finally:
            await runner.cleanup()


async def test_an_answer_takes_the_place_of_the_normal_one_once():
    """A fault is one-shot unless it says otherwise, and the request has no effect."""
    peer = FaultyServer()
    peer.script.add(
        faults.respond_with(503, "later", headers={"Retry-After": "7"}, content_type="text/plain")
    )
    async with peer.client() as client:
        first = await client.get("/")
        assert (first.status_code, first.text, first.headers["retry-after"]) == (503, "later", "7")
        assert peer.served == 0
        assert (await client.get("/")).content == BODY


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.reset(), httpx.ReadError),
        (faults.reset_in_body(), httpx.ReadError),
        (faults.truncated_body(), httpx.RemoteProtocolError),
        (faults.hang(), httpx.ReadTimeout),
        (faults.delayed_response(3600), httpx.ReadTimeout),
        (faults.slow_body(36_000), httpx.ReadTimeout),
    ],
    ids=lambda value: value.name if isinstance(value, faults.Fault) else "",
)
async def test_a_broken_connection_is_an_error_and_then_all_is_well(fault, error):
    """Each broken answer surfaces as its own error, and the next request is served."""
    peer = FaultyServer()
    peer.script.add(fault)
    async with peer.client() as client:
        with pytest.raises(error):
            await client.get("/", timeout=0.3)
        assert (await client.get("/")).content == BODY


@pytest.mark.parametrize("make", [faults.reset, faults.hang])
async def test_a_request_may_take_effect_before_its_answer_is_lost(make):
    """`after_processing` separates a lost request from a lost answer."""
    for after_processing, served in ((False, 0), (True, 1)):
        peer = FaultyServer()
        peer.script.add(make(after_processing=after_processing))
        async with peer.client() as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/", timeout=0.3)
        assert peer.served == served


async def test_slow_body_arrives_whole():
    """A slow body is late, not broken."""
    peer = FaultyServer()
    peer.script.add(faults.slow_body(0.2))
    async with peer.client() as client:
        started = time.monotonic()
        assert (await client.get("/")).content == BODY
        assert time.monotonic() - started > 0.15


async def test_bodies_can_be_cut_changed_dressed_and_packed():
    """What is valid HTTP may still be nonsense, or merely unusual."""
    peer = FaultyServer()
    async with peer.client() as client:
        peer.script.add(faults.cut_body())
        assert (await client.get("/")).content == BODY[: len(BODY) // 2]
        peer.script.add(faults.altered_body(bytes.upper))
        assert (await client.get("/")).content == BODY.upper()
        peer.script.add(faults.altered_head(status=206, headers={"X-Odd": "1"}, content_type="text/html"))
        odd = await client.get("/")
        assert (odd.status_code, odd.headers["x-odd"], odd.headers["content-type"], odd.content) == (
            206,
            "1",
            "text/html",
            BODY,
        )
        peer.script.add(faults.gzipped_body())
        packed = await client.get("/")
        assert (packed.headers["content-encoding"], packed.content) == ("gzip", BODY)


async def test_a_script_plays_for_a_time_a_number_of_times_or_at_a_rate():
    """seconds, times, rate, skip and only each bound what they say they bound."""
    peer = FaultyServer()
    async with peer.client() as client:

        async def statuses(count, path="/"):
            return [(await client.get(path)).status_code for _ in range(count)]

        peer.script.add(faults.respond_with(500), times=2, skip=1)
        assert await statuses(4) == [200, 500, 500, 200]
        peer.script.add(faults.respond_with(500), seconds=10)
        assert await statuses(3) == [500, 500, 500]
        peer.now = 10.0
        assert await statuses(2) == [200, 200]
        rated = peer.script.add(faults.respond_with(500), rate=0.3)
        assert (await statuses(100)).count(500) == rated.played
        assert 15 < rated.played < 45
        rated.cancel()
        peer.script.add(faults.respond_with(500), only=lambda request: request.path == "/bad")
        assert await statuses(2) == [200, 200]
        assert await statuses(2, "/bad") == [500, 200]
        peer.script.add(faults.respond_with(500), seconds=10)
        peer.script.clear()
        assert await statuses(1) == [200]


async def test_a_hanging_answer_does_not_hold_up_the_end():
    """Stopping the peer ends what hangs."""
    peer = FaultyServer()
    peer.script.add(faults.hang())
    async with asyncio.timeout(5), peer.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=0.1)

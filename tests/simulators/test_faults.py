import asyncio
import time
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from simulators import faults
from simulators.fault_script import FaultScript
from tests.support.waiting import wait_until

BODY = b'{"answer": "' + b"x" * 10_000 + b'"}'


class FaultyServer:
    """A server with one answer and a script of faults."""

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
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=240) as client:
                yield client
        finally:
            await runner.cleanup()


async def test_a_fault_replaces_one_answer():
    """By default a fault answers one request, which has no effect."""
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
async def test_each_broken_answer_is_an_error_of_its_own(fault, error):
    """The client raises the error of the fault, and the next request is served."""
    peer, impatient = FaultyServer(), httpx.Timeout(60, read=0.3)
    peer.script.add(fault)
    async with peer.client() as client:
        with pytest.raises(error):
            await client.get("/", timeout=impatient if error is httpx.ReadTimeout else 60)
        assert (await client.get("/")).content == BODY


@pytest.mark.parametrize("make", [faults.reset, faults.hang])
async def test_a_request_may_take_effect_before_its_answer_is_lost(make):
    """With `after_processing` the answer is lost, without it the request."""
    for after_processing, served in ((False, 0), (True, 1)):
        peer = FaultyServer()
        peer.script.add(make(after_processing=after_processing))
        async with peer.client() as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/", timeout=httpx.Timeout(60, read=0.3))
            # An impatient client may be gone before the server has read its request.
            await wait_until(lambda peer=peer, served=served: peer.served == served, 120)
        assert peer.served == served


async def test_a_slow_body_arrives_whole():
    """A slow body takes its time, and is complete."""
    peer = FaultyServer()
    peer.script.add(faults.slow_body(0.2))
    async with peer.client() as client:
        started = time.monotonic()
        assert (await client.get("/")).content == BODY
        assert time.monotonic() - started > 0.15


async def test_bodies_and_heads_can_be_altered():
    """Faults cut, transform and compress a body, and replace status, headers and content type."""
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


async def test_a_script_limits_a_fault():
    """`times`, `seconds`, `rate`, `skip` and `only` select the requests that meet a fault."""
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


async def test_a_hanging_answer_does_not_delay_the_stop():
    """A server with a hanging answer stops at once."""
    peer = FaultyServer()
    peer.script.add(faults.hang())
    async with asyncio.timeout(60), peer.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=httpx.Timeout(60, read=0.1))

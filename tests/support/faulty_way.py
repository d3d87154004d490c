"""A server in front of a real HTTP server: it passes requests on, and plays faults on the way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from aiohttp import web

from simulators.fault_script import FaultScript
from simulators.server import LoopbackServer

_HOP_HEADERS = {"host", "connection", "transfer-encoding", "content-length", "content-encoding", "date"}


class FaultyWay:
    """A request that a fault does not stop has its effect in the real server, whose answer may then be lost or torn."""

    def __init__(self, upstream: str, client: httpx.AsyncClient) -> None:
        self.faults = FaultScript()
        self._upstream = upstream
        self._client = client
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        return self._server.url

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        fault = self.faults.next_fault(request)

        async def serve() -> web.Response:
            return await self._forward(request, content)

        return await (fault.play(request, serve) if fault else serve())

    async def _forward(self, request: web.Request, content: bytes) -> web.Response:
        kept = {name: text for name, text in request.headers.items() if name.lower() not in _HOP_HEADERS}
        if "Content-Encoding" in request.headers:
            kept["Content-Encoding"] = request.headers["Content-Encoding"]
        url = f"{self._upstream}{request.raw_path}"
        answer = await self._client.request(request.method, url, content=content, headers=kept)
        headers = {name: text for name, text in answer.headers.items() if name.lower() not in _HOP_HEADERS}
        return web.Response(status=answer.status_code, body=answer.content, headers=headers)


@asynccontextmanager
async def faulty_way(upstream: str) -> AsyncIterator[FaultyWay]:
    """Yield a server in front of `upstream`, an URL without a path."""
    async with httpx.AsyncClient(trust_env=False, timeout=240) as client:
        way = FaultyWay(upstream, client)
        await way.start()
        try:
            yield way
        finally:
            await way.stop()

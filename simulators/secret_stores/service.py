"""What every simulated store has: a server, a script of faults, and a count of its requests."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from simulators.fault_script import FaultScript, ScriptedFault
from simulators.faults import Fault
from simulators.server import LoopbackServer


class StoreService:
    """Serves the requests of one store. `requests` counts those of each path, refused ones and faults included."""

    def __init__(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> None:
        self.faults = FaultScript()
        self.requests: Counter[str] = Counter()
        self._handler = handler
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        return self._server.url

    async def start(self) -> str:
        return await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    def fault(self, fault: Fault, path: str = "", **when: Any) -> ScriptedFault:
        """Answer requests whose path has `path` in it by a fault. `when`: as of FaultScript.add."""
        return self.faults.add(fault, only=lambda request: path in request.path, **when)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path] += 1
        fault = self.faults.next_fault(request)
        if fault is None:
            return await self._handler(request)
        return await fault.play(request, lambda: self._handler(request))

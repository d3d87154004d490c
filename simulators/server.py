"""A server on a loopback address."""

from collections.abc import Awaitable, Callable

from aiohttp import web


class LoopbackServer:
    """A server on a free port of 127.0.0.1. After a stop and a start it has the same port."""

    def __init__(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        self._handler = handler
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> str:
        """Start to listen. Return the URL of the server."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handler)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]
        return f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

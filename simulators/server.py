"""A server on a loopback address."""

import ssl
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import web


class LoopbackServer:
    """A server on a free port of 127.0.0.1. After a stop and a start it has the same port. It leaves bodies as they were sent.

    `tls` makes it a server of https. `cancels`: a request that its client gives up ends its handler.
    """

    def __init__(
        self,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        *,
        tls: ssl.SSLContext | None = None,
        cancels: bool = False,
    ) -> None:
        self._handler = handler
        self._tls = tls
        self._cancels = cancels
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """URL of the server, once it was started."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    async def start(self) -> str:
        """Start to listen. Return the URL of the server."""
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._handler)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            handler_cancellation=self._cancels,
            shutdown_timeout=0.1,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self.url

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


class SimulatedPeer:
    """A peer with a server of its own, which runs while it is entered: `async with`."""

    _server: LoopbackServer

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

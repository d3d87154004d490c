import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from sandbox import jira_answers
from sandbox.jira_http import serve
from sandbox.jira_site import Site

_GATEWAY = re.compile(r"/ex/jira/([^/]+)(/.*)")


class JiraWorld:
    """Simulated Jira Cloud on loopback: sites with a port each, and the gateway with its own.

    Everything but the passing of time follows from the seed.
    """

    def __init__(self, seed: int = 1, clock: Callable[[], int] | None = None) -> None:
        self.sites: dict[str, Site] = {}
        self.gateway_url = ""
        self._seed = seed
        self._clock = clock or (lambda: time.time_ns() // 1_000_000)
        self._listeners: dict[str, Listener] = {}

    async def __aenter__(self) -> Self:
        gateway = Listener(self._at_gateway)
        self._listeners[""] = gateway
        self.gateway_url = await gateway.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(listener.stop() for listener in self._listeners.values()))

    async def add_site(self, name: str, *, first_id: int | None = None, cloud_id: str | None = None) -> Site:
        site = Site(name, f"{self._seed} {name}", self._clock, first_id=first_id, cloud_id=cloud_id)
        listener = Listener(lambda request: serve(site, request, request.path, gateway=False))
        site.url = await listener.start()
        site.gateway_root = self.gateway_url
        self.sites[name], self._listeners[name] = site, listener
        return site

    async def shut(self, name: str) -> None:
        """The site's own host refuses connections, until it is opened again at the same port."""
        await self._listeners[name].stop()

    async def open(self, name: str) -> None:
        await self._listeners[name].start()

    def truth(self) -> dict[str, list[dict[str, Any]]]:
        """Every record that happened, by site."""
        return {name: site.truth() for name, site in self.sites.items()}

    async def live(
        self, rate: float, *, late: float = 0.02, late_seconds: float = 10.0, project: float = 0.005
    ) -> None:
        """Makes about `rate` records a second happen, over all sites, until cancelled.

        A share of `late` becomes visible up to `late_seconds` late; a share of `project` are whole projects.
        """
        chance = random.Random(f"live {self._seed}")
        while True:
            await asyncio.sleep(chance.expovariate(rate))
            site = chance.choice(list(self.sites.values()))
            draw = chance.random()
            if draw < project:
                site.create_project()
            else:
                site.happen(visible_after=chance.uniform(0, late_seconds) if draw > 1 - late else 0.0)

    async def _at_gateway(self, request: web.Request) -> web.StreamResponse:
        match = _GATEWAY.fullmatch(request.path)
        if match is not None:
            for site in self.sites.values():
                if site.cloud_id == match[1]:
                    return await serve(site, request, match[2], gateway=True)
        return jira_answers.GATEWAY_NO_SITE.response()


class Listener:
    """A server on a free port of 127.0.0.1, which it keeps when it is stopped and started again."""

    def __init__(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        self._handler = handler
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> str:
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

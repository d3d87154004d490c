"""Several simulated sites behind one server."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from simulators.jira_cloud import responses
from simulators.jira_cloud.http import serve
from simulators.jira_cloud.site import SimulatedSite
from simulators.server import LoopbackServer

_GATEWAY = re.compile(r"/ex/jira/([^/]+)(/.*)")


class JiraWorld:
    """Simulated Jira Cloud on loopback: each site has a port, and so has the gateway.

    The seed determines everything except the passing of time.
    """

    def __init__(self, seed: int = 1, clock: Callable[[], int] | None = None) -> None:
        self.sites: dict[str, SimulatedSite] = {}
        self.gateway_url = ""
        self._seed = seed
        self._clock = clock or (lambda: time.time_ns() // 1_000_000)
        self._gateway = LoopbackServer(self._serve_gateway, cancels=True)

    async def __aenter__(self) -> Self:
        self.gateway_url = await self._gateway.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(self._gateway.stop(), *(site.stop() for site in self.sites.values()))

    async def add_site(
        self, name: str, *, first_id: int | None = None, cloud_id: str | None = None
    ) -> SimulatedSite:
        """Add a site that listens at once. Raises ValueError when the name exists."""
        if name in self.sites:
            raise ValueError(f"there is a site {name} already")
        site = SimulatedSite(name, f"{self._seed} {name}", self._clock, first_id=first_id, cloud_id=cloud_id)

        async def serve_site(request: web.Request) -> web.StreamResponse:
            return await serve(site, request, request.path, gateway=False)

        site.server = LoopbackServer(serve_site, cancels=True)
        site.gateway_root = self.gateway_url
        self.sites[name] = site
        await site.start()
        return site

    def truth(self) -> dict[str, list[dict[str, Any]]]:
        """Return every record that was created, by site."""
        return {name: site.all_records() for name, site in self.sites.items()}

    async def generate_traffic(
        self,
        rate: float,
        *,
        late_share: float = 0.02,
        late_seconds: float = 10.0,
        project_share: float = 0.005,
    ) -> None:
        """Create about `rate` records a second over all sites, until cancelled.

        A share of `late_share` becomes visible up to `late_seconds` late. A share of `project_share` are whole projects.
        """
        rng = random.Random(f"live {self._seed}")
        while True:
            await asyncio.sleep(rng.expovariate(rate))
            site = rng.choice(list(self.sites.values()))
            draw = rng.random()
            if draw < project_share:
                site.create_project()
            else:
                site.add_record(visible_after=rng.uniform(0, late_seconds) if draw > 1 - late_share else 0.0)

    async def _serve_gateway(self, request: web.Request) -> web.StreamResponse:
        match = _GATEWAY.fullmatch(request.path)
        if match is not None:
            for site in self.sites.values():
                if site.cloud_id == match[1]:
                    return await serve(site, request, match[2], gateway=True)
        return responses.GATEWAY_NO_SITE.to_response()

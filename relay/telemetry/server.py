"""Serve the health and the metrics of a process over HTTP."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from relay.config.validators import parse_address
from relay.errors import RelayError
from relay.telemetry.health import Health
from relay.telemetry.merged_metrics import MergedMetrics

MetricsOfOther = Callable[[], Awaitable[Sequence[Metric]]]
"""Asks another process of this service for its metrics."""

_LISTEN_ERRORS = {
    errno.EADDRINUSE: "another process uses it",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "only root may use this port",
}

_SECOND_SERVICE = "; a second service on this machine needs a port of its own, such as RELAY_TELEMETRY__LISTEN=127.0.0.1:9465"


@asynccontextmanager
async def serve(
    listen: str, health: Health, registry: CollectorRegistry, others: Sequence[MetricsOfOther] = ()
) -> AsyncIterator[str]:
    """Serve /healthz, /readyz and /metrics on `listen` (host:port; port 0 for any free one). Yields the URL.

    The metrics are those of this process and of `others`, as of one.
    Raises RelayError if the address is not available.
    """
    runner = web.AppRunner(_application(health, registry, others), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        host, port = parse_address(listen)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise RelayError(
                f"telemetry.listen (RELAY_TELEMETRY__LISTEN) cannot be {listen}: "
                f"{listen_problem(error)}. Set another address or port"
                f"{_SECOND_SERVICE if error.errno == errno.EADDRINUSE else ''}."
            ) from error
        yield f"http://{'[' + host + ']' if ':' in host else host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def listen_problem(error: OSError) -> str:
    """Return why an address is not available, as a clause without a full stop."""
    return _LISTEN_ERRORS.get(error.errno or 0, error.strerror or str(error))


def _application(
    health: Health, registry: CollectorRegistry, others: Sequence[MetricsOfOther]
) -> web.Application:
    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_request: web.Request) -> web.Response:
        faults = health.problems()
        return web.Response(
            text="".join(f"{fault}\n" for fault in faults) or "ready\n", status=503 if faults else 200
        )

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        found = await asyncio.gather(*(metrics_of() for metrics_of in others))
        source = MergedMetrics([registry.collect(), *found]) if found else registry
        body = await asyncio.to_thread(encode, source)  # takes long with ten thousand organizations
        return web.Response(body=body, headers={"Content-Type": content_type})

    application = web.Application()
    application.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    return application

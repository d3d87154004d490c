"""The console as a service of a process."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import structlog
import uvicorn
from starlette.types import ASGIApp

from console.app import create_app
from console.connections import BoundedProtocol
from console.context import ConsoleContext, ConsoleTiming
from relay.aio import cancel_all, supervise
from relay.config.console import ConsoleConfig
from relay.config.validators import parse_address
from relay.errors import RelayError
from relay.telemetry.server import listen_problem

STOP_SECONDS = 5
MAX_CONNECTIONS = 500
"""Beyond them, a request is answered with 503: each connection costs memory."""

log = structlog.get_logger(__name__)


def open_socket(listen: str) -> socket.socket:
    """Return a socket that listens on host:port; port 0 for any free one. Raises RelayError if the address is not available."""
    host, port = parse_address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise RelayError(
            f"console.listen (RELAY_CONSOLE__LISTEN) cannot be {listen}: {listen_problem(error)}. Set another address or port."
        ) from error


def own_origins(config: ConsoleConfig, listener: socket.socket) -> frozenset[str]:
    """Return the origins under which browsers may reach the console: that of public_url, and this machine's own names."""
    port = listener.getsockname()[1]
    found = {f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}
    return frozenset(found | ({config.public_url} if config.public_url else set()))


def own_url(config: ConsoleConfig, listener: socket.socket) -> str:
    """Return the URL of the console on this machine."""
    host, _ = parse_address(config.listen)
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


async def run_console(context: ConsoleContext, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve the console and follow the topics until `stop` is set."""
    server = _Server(_uvicorn_config(create_app(context), context.timing))
    tasks = [
        asyncio.create_task(server.serve([listener]), name="console"),
        asyncio.create_task(context.view.run(stop), name="live view"),
    ]
    try:
        await supervise(stop, tasks)
    finally:
        server.should_exit = True
        await asyncio.wait(tasks, timeout=STOP_SECONDS + 1)
        await cancel_all(tasks)
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _uvicorn_config(app: ASGIApp, timing: ConsoleTiming) -> uvicorn.Config:
    protocol = partial(BoundedProtocol, head_seconds=timing.head_seconds, read_seconds=timing.read_seconds)
    return uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=STOP_SECONDS,
    )

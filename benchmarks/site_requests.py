"""Measure the CPU time of a request to one of many sites, by the client of Jira and by a pool of httpx, in turn.

    .venv/bin/python benchmarks/site_requests.py [--requests 2000] [--turns 3] [--tls]

A bare server in another process plays all sites, each on a port of its own, and closes a connection after its answer. So each
request has a connection of its own, as in a producer of thousands of organizations. With `--tls` the sites have certificates,
were asked once before, and the client of Jira is measured without its TLS sessions too.
"""

import argparse
import asyncio
import json
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent.parent))

import httpx
from organizations import JiraStub

from producer.sources.jira_cloud.client import CLIENT_COUNT, open_clients
from relay import direct_transport, http
from tests.support.certificates import CertificateAuthority

SITES = 256
CONCURRENT = 10
QUERY = "from=2026-11-30T12:00:00.000Z&to=2026-11-30T12:01:00.000Z&offset=0&limit=1000"

Get = Callable[[int, str], Awaitable[bytes]]
"""Sends the request of a number to a URL, and returns the body of its answer."""


class OneAnswer(JiraStub):
    """A connection to a site that ends after an answer."""

    def _answer(self, request: bytes) -> bytes:
        return super()._answer(request).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


async def serve(certificate: Path | None) -> None:
    """Serve all sites. `certificate`: of the server, with its key; None: without TLS."""
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(OneAnswer, "127.0.0.1", 0, backlog=4096, ssl=context) for _ in range(SITES)
    ]
    print(json.dumps([each.sockets[0].getsockname()[1] for each in servers]), flush=True)
    await asyncio.gather(*(each.serve_forever() for each in servers))


@asynccontextmanager
async def relay_client() -> AsyncIterator[Get]:
    async with open_clients(300) as clients:

        async def get(number: int, url: str) -> bytes:
            client = clients[number % CLIENT_COUNT]
            response = await client.handle_async_request(httpx.Request("GET", url))
            body = await response.aread()
            await response.aclose()
            return body

        yield get


@asynccontextmanager
async def relay_client_without_sessions() -> AsyncIterator[Get]:
    with patch.object(direct_transport, "SESSIONS", 0):
        async with relay_client() as get:
            yield get


@asynccontextmanager
async def httpx_client() -> AsyncIterator[Get]:
    context = http.create_tls_context()
    limits = httpx.Limits(max_connections=300, max_keepalive_connections=2, keepalive_expiry=2.0)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(transport=http.open_transport(context, limits), trust_env=False)
            )
            for _ in range(CLIENT_COUNT)
        ]

        async def get(number: int, url: str) -> bytes:
            return (await clients[number % CLIENT_COUNT].get(url)).content

        yield get


async def measure(get: Get, sites: Sequence[str], count: int) -> float:
    """Return the CPU time of a request in microseconds."""

    async def work(first: int) -> None:
        for number in range(first, count, CONCURRENT):
            await get(number, f"{sites[number % SITES]}/rest/api/3/auditing/record?{QUERY}")

    began = time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for first in range(CONCURRENT):
            tasks.create_task(work(first))
    return 1e6 * (time.process_time() - began) / count


@asynccontextmanager
async def started_sites(directory: Path, *, tls: bool) -> AsyncIterator[Sequence[str]]:
    """Run the server in another process. Yield the URLs of the sites."""
    authority = CertificateAuthority(directory, "authority")
    words = [str(authority.issue("sites").combined_file)] if tls else []
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--server", *words, stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is None:
        raise RuntimeError("the server has no output")
    try:
        scheme = "https" if tls else "http"
        with patch.dict("os.environ", {"SSL_CERT_FILE": str(authority.file)}):
            yield [f"{scheme}://127.0.0.1:{port}" for port in json.loads(await process.stdout.readline())]
    finally:
        process.terminate()
        await process.wait()


async def main(count: int, turns: int, *, tls: bool) -> None:
    opened: dict[str, Callable[[], AbstractAsyncContextManager[Get]]] = {
        "httpx": httpx_client,
        "relay": relay_client,
    }
    if tls:
        opened["relay without sessions"] = relay_client_without_sessions
    found: dict[str, list[float]] = {name: [] for name in opened}
    with tempfile.TemporaryDirectory() as directory:
        async with started_sites(Path(directory), tls=tls) as sites:
            for _ in range(turns):
                for name, client in opened.items():
                    async with client() as get:
                        await measure(get, sites, SITES)
                        found[name].append(await measure(get, sites, count))
    for name, values in found.items():
        print(f"{name}: {min(values):.0f}, {statistics.median(values):.0f}, {max(values):.0f} µs a request")
    for name in set(found) - {"relay"}:
        ratios = [ours / theirs for ours, theirs in zip(found["relay"], found[name], strict=True)]
        print(f"relay / {name}: {min(ratios):.2f}, {statistics.median(ratios):.2f}, {max(ratios):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000, help="requests of one turn")
    parser.add_argument("--turns", type=int, default=3, help="turns of each client")
    parser.add_argument("--tls", action="store_true", help="let the sites have certificates")
    parser.add_argument("--server", nargs="?", const="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.server is None:
        asyncio.run(main(given.requests, given.turns, tls=given.tls))
    else:
        asyncio.run(serve(Path(given.server) if given.server else None))

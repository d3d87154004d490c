"""Measure the CPU time of a request to one of many sites, by the client of Jira and by a pool of httpx, in turn.

    .venv/bin/python benchmarks/site_requests.py [--requests 2000] [--turns 3]

A bare server in another process plays all sites, each on its own address of 127.0.0.0/8 (Linux). Each request goes to another
site than the one before, so each has a connection of its own, as in a producer of thousands of organizations.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import httpx
from organizations import JiraStub

from producer.sources.jira_cloud.client import CLIENT_COUNT, open_clients
from relay.http import create_tls_context, open_transport

CONCURRENT = 10
QUERY = "from=2026-11-30T12:00:00.000Z&to=2026-11-30T12:01:00.000Z&offset=0&limit=1000"

Get = Callable[[int, str], Awaitable[bytes]]
"""Sends the request of a number to a URL, and returns the body of its answer."""


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(JiraStub, "0.0.0.0", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


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
async def httpx_client() -> AsyncIterator[Get]:
    context = create_tls_context()
    limits = httpx.Limits(max_connections=300, max_keepalive_connections=2, keepalive_expiry=2.0)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(transport=open_transport(context, limits), trust_env=False)
            )
            for _ in range(CLIENT_COUNT)
        ]

        async def get(number: int, url: str) -> bytes:
            return (await clients[number % CLIENT_COUNT].get(url)).content

        yield get


async def measure(get: Get, port: int, count: int) -> float:
    """Return the CPU time of a request in microseconds."""

    async def work(first: int) -> None:
        for number in range(first, count, CONCURRENT):
            site = f"127.1.{number // 250 % 200}.{number % 250 + 1}:{port}"
            await get(number, f"http://{site}/rest/api/3/auditing/record?{QUERY}")

    began = time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for first in range(CONCURRENT):
            tasks.create_task(work(first))
    return 1e6 * (time.process_time() - began) / count


async def main(count: int, turns: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--server", stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is None:
        raise RuntimeError("the server has no output")
    port = int(await process.stdout.readline())
    found: dict[str, list[float]] = {"httpx": [], "relay": []}
    for _ in range(turns):
        for name, opened in (("httpx", httpx_client), ("relay", relay_client)):
            async with opened() as get:
                await measure(get, port, 100)
                found[name].append(await measure(get, port, count))
    process.terminate()
    await process.wait()
    for name, values in found.items():
        print(f"{name}: {min(values):.0f}, {statistics.median(values):.0f}, {max(values):.0f} µs a request")
    ratios = [ours / theirs for ours, theirs in zip(found["relay"], found["httpx"], strict=True)]
    print(f"relay / httpx: {min(ratios):.2f}, {statistics.median(ratios):.2f}, {max(ratios):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000, help="requests of one turn")
    parser.add_argument("--turns", type=int, default=3, help="turns of both clients")
    parser.add_argument("--server", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    asyncio.run(serve() if given.server else main(given.requests, given.turns))

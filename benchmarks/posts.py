"""Measure the CPU time of a request to the Logs Ingestion API, over the relay's own connection and by azure-core, in turn.

    .venv/bin/python benchmarks/posts.py [--requests 1000] [--turns 5]

A bare server in another process accepts each body, of 70,000 bytes as a thousand events have when they are compressed.
"""

import argparse
import asyncio
import contextlib
import os
import re
import statistics
import sys
import time
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent.parent))

from azure.core.credentials import AccessToken

from consumer.destinations.azure_ingestion import upload
from relay.proxies import Proxy, ProxyRules

BODY = os.urandom(70_000)
RULE, STREAM = f"dcr-{'0' * 32}", "Custom-JiraAudit_CL"
ACCEPTED = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


class Credential:
    """Issues one token."""

    generation = 0

    async def get_token(self, *_scopes: str) -> AccessToken:
        return AccessToken("token", int(time.time()) + 86_400)


async def serve() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(ACCEPTED)

    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1_000_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def measure(endpoint: str, count: int, rules: ProxyRules) -> float:
    """Return the CPU time of a request in microseconds."""
    with patch.object(upload, "read_proxy_rules", lambda: rules):
        uploader = upload.Uploader(endpoint, "scope", Credential())  # type: ignore[arg-type]
    for number in range(count + 20):
        if number == 20:
            began = time.process_time()
        await uploader.upload(RULE, STREAM, BODY)
    seconds = time.process_time() - began
    await uploader.close()
    return 1e6 * seconds / count


class AzureCore(ProxyRules):
    """Rules by which each request goes through azure-core's transport; that has its own rules, and finds no proxy."""

    def find(self, url: str) -> Proxy | None:
        return Proxy(url)


async def main(count: int, turns: int) -> None:
    found: dict[str, list[float]] = {"the relay": [], "azure-core and aiohttp": []}
    rules = {"the relay": ProxyRules({}), "azure-core and aiohttp": AzureCore({})}
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--server", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101
    try:
        endpoint = f"http://127.0.0.1:{int(await process.stdout.readline())}"
        for _ in range(turns):
            for name, values in found.items():
                values.append(await measure(endpoint, count, rules[name]))
    finally:
        process.terminate()
        await process.wait()
    for name, values in found.items():
        print(f"{name}: {min(values):.0f}, {statistics.median(values):.0f}, {max(values):.0f} µs a request")
    ratios = [ours / theirs for ours, theirs in zip(*found.values(), strict=True)]
    print(f"ratio: {min(ratios):.2f}, {statistics.median(ratios):.2f}, {max(ratios):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000, help="requests of one turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each way")
    parser.add_argument("--server", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    asyncio.run(serve() if given.server else main(given.requests, given.turns))

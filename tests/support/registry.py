"""A real schema registry (Apicurio), in memory, downloaded like the embedded Kafka.

A newer version: `python -m embedded.artifact_lock tests/support/registry.lock io.apicurio:apicurio-registry-app:tar.gz:all:VERSION`.
"""

import asyncio
import contextlib
import os
import tarfile
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from embedded import artifacts, cache, java, ports
from embedded.file_lock import FileLock

_LOCK_FILE = Path(__file__).with_name("registry.lock")
_READY_SECONDS = 480


@contextlib.asynccontextmanager
async def running_registry(directory: Path) -> AsyncIterator[str]:
    """Run an empty registry; yield the address of its Confluent API."""
    home = await _install()
    port = ports.pick_free_port()
    held = FileLock(directory / "lock")
    assert held.acquire()
    process = await java.Java(java.find_java(), ()).start(
        *("-Xmx384m", "-Dapicurio.storage.kind=sql", "-Dquarkus.http.host=127.0.0.1"),
        *(f"-Dquarkus.http.port={port}", f"-Dquarkus.management.port={ports.pick_free_port()}"),
        *("-jar", str(home / "quarkus-run.jar")),
        directory=directory,
        lock=held.descriptor,
        output=directory / "registry.log",
    )
    try:
        url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        await _wait_until_ready(url, process, directory / "registry.log")
        yield url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        held.release()


async def _wait_until_ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(_READY_SECONDS), httpx.AsyncClient() as client:
        while not await _is_answering(client, url):
            assert process.returncode is None, f"The registry ended: {log.read_text()[-2000:]}"  # noqa: ASYNC240
            await asyncio.sleep(0.1)


async def _is_answering(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/subjects")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def _install() -> Path:
    folder = cache.default_folder(os.environ, cache.home_folder())
    (packed,) = await cache.fetch(artifacts.parse_lock_file(_LOCK_FILE.read_text()), folder)
    home = folder / packed.name.removesuffix("-all.tar.gz")
    if not home.exists():
        await asyncio.to_thread(_unpack, packed, home)
    return home


def _unpack(packed: Path, home: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=home.parent) as partial:
        unpacked = Path(partial) / "unpacked"
        with tarfile.open(packed) as archive:
            archive.extractall(unpacked, filter="data")
        with contextlib.suppress(OSError):  # another run was quicker
            unpacked.rename(home)

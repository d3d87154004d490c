"""Servers that others wrote, run as processes of their own; a test skips where a machine has none."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

START_SECONDS = 240


@asynccontextmanager
async def running(
    program: str, install: str, port: int, *arguments: str, **environment: str
) -> AsyncIterator[None]:
    """Run a server until it listens; skip the test, with the command `install`, where it is absent."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: {install}")
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        path, *arguments, stdout=quiet, stderr=quiet, env=os.environ | environment
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _listens(port):
                assert process.returncode is None, f"{program} has ended"
                await asyncio.sleep(0.1)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True

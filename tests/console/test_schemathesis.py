"""The API by its own description, and by requests that break it: Schemathesis finds answers that the document does not have.

Needs Schemathesis: `.venv/bin/pip install schemathesis`.
"""

import asyncio
import shutil
import socket
import sys
from pathlib import Path

import pytest

from console.auth import LoginThrottle
from console.server import run_console
from management.connection_test import ConnectionFailedError
from management.settings import load
from relay.kafka.topic_admin import create_missing_topics
from tests.support.console import TOKEN, RefusingTest, open_console
from tests.support.kafka import connection_to
from tests.support.settings import SENTINEL

PROGRAM = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or shutil.which("schemathesis")
SECONDS = 1_000
"""It takes a minute on an idle machine, and many on a busy one."""
LEFT_OUT = "positive_data_acceptance"
"""A body of the right form names a site that is not there, so it is refused with reason."""

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="needs `.venv/bin/pip install schemathesis`"),
    pytest.mark.timeout(1_200),
]


class FailingTest(RefusingTest):
    """A connection test that never finds a site."""

    async def run(self, organization, key, *, new_key=False):  # noqa: ARG002 - as the relay calls it
        raise ConnectionFailedError(f"{organization.url} cannot be reached.")


async def test_the_api_is_as_it_describes_itself(kafka, prefix, tmp_path):
    """Every answer is in the document, of its schema, and no request makes the server fail."""
    connection = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(connection)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    destinations = load(environ=SENTINEL).destinations
    stop = asyncio.Event()
    fields = {
        "origins": frozenset({url}),
        "destinations": destinations,
        "bearer_throttle": LoginThrottle(100_000, 100_000),
    }
    async with open_console(connection, FailingTest(), **fields) as console:
        serving = asyncio.create_task(run_console(console.context, listener, stop))
        await console.context.view.refresh()
        arguments = ["--exclude-checks", LEFT_OUT, "--phases", "coverage"]
        arguments += [
            "--header",
            f"Authorization: Bearer {TOKEN}",
            "--suppress-health-check",
            "all",
            "--seed",
            "1",
        ]
        process = await asyncio.create_subprocess_exec(
            str(PROGRAM),
            "run",
            f"{url}/api/v1/openapi.json",
            *arguments,
            cwd=tmp_path,  # it keeps a folder of what it has found
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(SECONDS):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
            stop.set()
            await serving
    assert process.returncode == 0, output.decode()[-6000:]

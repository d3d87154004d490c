"""`jira-relay up` as a process with an embedded Kafka."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest

from embedded import ports
from embedded.file_lock import FileLock

ROOT = Path(__file__).parents[2]


class RunningUp:
    """The program on one data directory, which a test can start several times."""

    def __init__(self, directory):
        self.directory = directory
        self.url = f"http://127.0.0.1:{ports.pick_free_port()}"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RELAY_")
        } | {
            "RELAY_EMBEDDED__DATA_DIR": str(directory / "data"),
            "RELAY_EMBEDDED__PORT": str(ports.pick_free_port()),
            "RELAY_TELEMETRY__LISTEN": self.url.removeprefix("http://"),
            "RELAY_KAFKA__SHARDS": "2",
            "RELAY_CONSOLE__LISTEN": f"127.0.0.1:{ports.pick_free_port()}",
        }
        self.process = None

    async def command(self, *arguments, **streams):
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", *arguments), cwd=ROOT, env=self.environment, **streams
        )

    async def start(self):
        with (self.directory / "log").open("a") as log:
            self.process = await self.command("up", stderr=log)

    @property
    def log(self):
        return (self.directory / "log").read_text()

    @property
    def kafka(self):
        """Process id of its Kafka."""
        return int((self.directory / "data/kafka/kafka.lock").read_text())

    async def wait_until_ready(self):
        end = time.monotonic() + 180
        async with httpx.AsyncClient(timeout=60) as client:
            while True:
                assert time.monotonic() < end, self.log
                assert self.process.returncode is None, self.log
                try:
                    if (await client.get(f"{self.url}/readyz")).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def wait_for_log(self, words):
        end = time.monotonic() + 120
        while words not in self.log:
            assert time.monotonic() < end, self.log
            await asyncio.sleep(0.1)

    async def sign_in_to_the_console(self):
        """Sign in with the token that the log names the file of; return the status."""
        token = (self.directory / "data" / "console-token").read_text()
        url = f"http://{self.environment['RELAY_CONSOLE__LISTEN']}"
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            return (await client.post("/login", data={"token": token, "name": "Anna"})).status_code

    async def list_organizations(self):
        process = await self.command("organizations", "list", "--json", stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(out)


@pytest.fixture
async def up(tmp_path):
    up = RunningUp(tmp_path)
    yield up
    if up.process is not None and up.process.returncode is None:
        up.process.kill()
        await up.process.wait()


async def test_up_restarts_its_kafka_and_recovers_from_a_kill(up):
    """`up` serves the console, restarts a killed Kafka, starts again after SIGKILL, and releases its lock after a clean stop."""
    await up.start()
    await up.wait_until_ready()
    os.kill(up.kafka, signal.SIGKILL)
    await up.wait_for_log("Embedded Kafka is ready again.")
    assert await up.list_organizations() == []
    assert await up.sign_in_to_the_console() == 303

    up.process.kill()
    await up.process.wait()
    await up.start()
    await up.wait_until_ready()
    up.process.terminate()

    assert await asyncio.wait_for(up.process.wait(), 60) == 0
    lock = FileLock(up.directory / "data/kafka/kafka.lock")
    assert await lock.acquire_within(30)
    lock.release()
    assert "Traceback" not in up.log

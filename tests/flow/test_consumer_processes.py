"""`jira-relay consume` in two processes, on a real Kafka, to simulated Azure."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from embedded import ports
from relay.status.reader import read_statuses
from tests.support.pipeline_world import LIVE, committed_and_ends, pipeline_world, some_events, uid, uids

ORGANIZATIONS = 24
"""So many that each partition has some."""


class TwoProcesses:
    """The command with `--processes 2`; its log is a file."""

    def __init__(self, world, log):
        self.log = log
        self._url = f"http://127.0.0.1:{(port := ports.pick_free_port())}"
        kafka = world.connection.kafka
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RELAY_")},
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RELAY_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "RELAY_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
            "RELAY_KAFKA__GROUP_SESSION_TIMEOUT_SECONDS": "6",
            "RELAY_CONSUMER__START": "earliest",
            "RELAY_CONSUMER__LINGER_SECONDS": "0.1",
            "RELAY_DESTINATIONS__SENTINEL__ENDPOINT": world.azure.endpoint,
            "RELAY_DESTINATIONS__SENTINEL__RULE_ID": world.azure.rule_id,
            "RELAY_DESTINATIONS__SENTINEL__CREDENTIAL": "managed-identity",
            "RELAY_TELEMETRY__LISTEN": f"127.0.0.1:{port}",
        }

    async def start(self):
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli", "consume", "--processes", "2"),
                env=self._environ,
                stderr=output,
            )

    @property
    def child_pid(self):
        """Linux alone lists the children of a process."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    async def get(self, path):
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return await client.get(self._url + path)

    async def wait_until_ready(self):
        async with asyncio.timeout(120):
            while True:
                try:
                    if (await self.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def end(self):
        return await asyncio.wait_for(self.process.wait(), 120)

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@asynccontextmanager
async def two_processes(world, log):
    started = TwoProcesses(world, log)
    await started.start()
    try:
        yield started
    finally:
        if started.process.returncode is None:
            started.process.kill()
            await started.process.wait()


async def delivered_by_process(world):
    """Return the events that each process says it has delivered, by its id."""
    statuses = await read_statuses(world.connection, world.topics.status)
    return {
        int(key.split("-")[-2]): sum(hour.events for hour in status.counts)
        for key, status in statuses.items()
        if key.startswith("delivery/sentinel/")
    }


async def wait_for_accepted(processes, count):
    """Wait until the metrics say that so many live events were accepted."""
    name = 'jira_relay_consumer_events_accepted_total{destination="sentinel",flow="live"} '
    async with asyncio.timeout(120):
        while f"{name}{float(count)}\n" not in (await processes.get("/metrics")).text:
            await asyncio.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")
async def test_two_processes_share_the_work_and_end_together(kafka, prefix, monkeypatch, tmp_path):
    """A killed child ends the service with its reason, and the next start loses nothing.

    Then both deliver, each event once; the metrics are those of both, and a stop commits what both have delivered.
    """
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        rows = world.azure.table(LIVE)
        async with two_processes(world, tmp_path / "first.log") as first:
            await first.wait_until_ready()
            await world.publish(some_events(200, ORGANIZATIONS))
            await world.wait_for_events(100)
            os.kill(first.child_pid, signal.SIGKILL)
            assert await first.end() == 1
        (error,) = [line for line in first.lines() if line["message"].startswith("A service failed")]
        assert error["service"] == "process 2"
        assert "ended unasked, with signal SIGKILL" in error["reason"]

        before = rows.accepted
        async with two_processes(world, tmp_path / "second.log") as second:
            await second.wait_until_ready()
            await world.wait_for_events()
            repeated = rows.accepted
            await world.publish(some_events(200, ORGANIZATIONS, first=1000))
            await world.wait_for_events()
            await wait_for_accepted(second, rows.accepted - before)
            pids = {second.process.pid, second.child_pid}
            second.process.terminate()
            assert await second.end() == 0

        assert {line["process"] for line in second.lines()} == {1, 2}
        committed, ends = await committed_and_ends(world)
        assert committed == ends
        assert set(uids(world.azure)) == set(map(uid, world.published))
        assert rows.accepted == repeated + 200
        delivered = await delivered_by_process(world)
        assert all(delivered[pid] > 0 for pid in pids)
        assert sum(delivered[pid] for pid in pids) == rows.accepted - before

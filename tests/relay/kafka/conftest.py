import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from embedded import EmbeddedKafka
from embedded.properties import HOST
from embedded.ready import is_ready


class InterruptibleKafka:
    """A broker that can be killed or stopped. It is ready again after each `interrupted`."""

    def __init__(self, kafka):
        self.kafka = kafka

    @contextlib.asynccontextmanager
    async def interrupted(self, signal_number):
        """Kill Kafka (SIGKILL), or freeze it so that it answers nothing (SIGSTOP)."""
        os.kill(self.kafka.pid, signal_number)
        try:
            await (
                self._wait_until_frozen() if signal_number == signal.SIGSTOP else self.kafka.wait_for_exit()
            )
            yield
        finally:
            if signal_number == signal.SIGSTOP:
                os.kill(self.kafka.pid, signal.SIGCONT)
                await self._wait_until_ready()
            else:
                await self.kafka.start()

    async def _wait_until_frozen(self):
        """Wait until all threads are stopped: one that is not may still answer."""
        for _ in range(6_000):
            if all(state == "T" for state in _thread_states(self.kafka.pid)):
                return
            await asyncio.sleep(0.01)

    async def _wait_until_ready(self):
        """Wait until the broker is registered again: its controller fenced it meanwhile."""
        for _ in range(600):
            if await is_ready(HOST, int(self.kafka.bootstrap.partition(":")[2])):
                return
            await asyncio.sleep(0.1)


def _thread_states(pid):
    """Return the states of a process's threads on Linux, nothing on other systems."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return [thread.read_text().rpartition(")")[2].split()[0] for thread in threads]


@pytest.fixture(scope="session")
async def interruptible_kafka(tmp_path_factory):
    async with EmbeddedKafka(tmp_path_factory.mktemp("own"), heap="384m", flush_each_write=False) as broker:
        yield InterruptibleKafka(broker)

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from embedded import EmbeddedKafka
from embedded.properties import HOST
from embedded.ready import is_ready


class OwnKafka:
    """A broker that may be killed or stopped; it is back after each `away`."""

    def __init__(self, kafka):
        self.kafka = kafka

    @contextlib.asynccontextmanager
    async def away(self, blow):
        """Kafka killed (SIGKILL), or frozen so that it is a black hole (SIGSTOP)."""
        os.kill(self.kafka.pid, blow)
        try:
            await (self._frozen() if blow == signal.SIGSTOP else self.kafka.died())
            yield
        finally:
            if blow == signal.SIGSTOP:
                os.kill(self.kafka.pid, signal.SIGCONT)
                await self._ready()
            else:
                await self.kafka.start()

    async def _frozen(self):
        """A thread that is not yet stopped may still answer."""
        for _ in range(500):
            if all(state == "T" for state in _states(self.kafka.pid)):
                return
            await asyncio.sleep(0.01)

    async def _ready(self):
        """It was fenced by its controller meanwhile, and is let in again a moment later."""
        for _ in range(300):
            if await is_ready(HOST, int(self.kafka.bootstrap.partition(":")[2])):
                return
            await asyncio.sleep(0.1)


def _states(pid):
    """Of the threads of a process, as Linux tells; elsewhere nothing is told."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return [thread.read_text().rpartition(")")[2].split()[0] for thread in threads]


@pytest.fixture(scope="session")
async def own_kafka(tmp_path_factory):
    async with EmbeddedKafka(tmp_path_factory.mktemp("own"), heap="384m", flush_each_write=False) as broker:
        yield OwnKafka(broker)

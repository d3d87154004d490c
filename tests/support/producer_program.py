"""A producer as a process of its own, which a test starts, kills and stops."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import Self

from tests.support.producer_world import ProducerWorld


class ProducerProgram:
    """`tests.support.producer_process` with the settings of a world."""

    def __init__(self, process: Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, world: ProducerWorld, directory: Path, die_at: str | None = None) -> Self:
        """Start a process, with its log in `directory`. `die_at`: the step at which it dies; None: it does not."""
        given = {
            "settings": world.settings.model_dump(mode="json", exclude_none=True),
            "key": (b"k" * 32).hex(),
            "die_at": die_at,
        }
        with (directory / f"producer-{die_at or 'whole'}.log".replace(" ", "-")).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.producer_process"),
                stdin=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(given).encode())
        process.stdin.close()
        return cls(process)

    async def ended(self, seconds: float) -> int:
        """Return how the process has ended, within this time."""
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def stop(self) -> None:
        """End it in good order."""
        self.process.send_signal(signal.SIGTERM)
        assert await self.ended(60) == 0

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.kafka_proxy import KafkaProxy

STOP_TIMEOUT_SECONDS = 40.0
STARTUP_SECONDS = 45.0
"""A process that cannot reach Kafka ends so long after its start, freezes included; later it has to bear that."""


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """The end of a process; `at` in seconds since 1970, `log_text`: all it wrote to its log."""

    at: float
    code: int
    age_seconds: float
    log_text: str

    @property
    def excused(self) -> bool:
        """Killed by somebody else, or unable to start, with a sentence that says why, or asked to end while it started."""
        starting = self.code in {1, -signal.SIGTERM} and self.age_seconds < STARTUP_SECONDS
        return self.code == -signal.SIGKILL or (starting and "Traceback" not in self.log_text)

    @property
    def last_line(self) -> str:
        lines = [line for line in self.log_text.splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


class ProcessSlot:
    """The place of one process of the relay: who is in it changes, its wire to Kafka and its log stay.

    Each process has a session of its own, and ends with this one.
    """

    def __init__(
        self, name: str, arguments: list[str], environ: Mapping[str, str], log: Path, proxy: KafkaProxy
    ) -> None:
        self.name = name
        self.log = log
        self.proxy = proxy
        self.busy = False
        """Something is being done to it."""
        self.exits: list[ProcessExit] = []
        """Those that nobody here had asked for."""
        self._arguments = arguments
        self._environ = dict(environ)
        self._process: Process | None = None
        self._exit_expected = True
        self._started_at = 0.0
        self._log_offset = 0
        self._start_lock = asyncio.Lock()

    @property
    def is_consumer(self) -> bool:
        return self.name.startswith("consumer")

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Nothing where it runs."""
        async with self._start_lock:
            if self._process is None or self._process.returncode is not None:
                await self._start()

    async def _start(self) -> None:
        with self.log.open("ab") as output:
            self._log_offset = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli.service_process", *self._arguments),
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=output,
                env=self._environ,
                start_new_session=True,
            )
        self._exit_expected, self._started_at = False, time.time()
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    def signal(self, number: signal.Signals) -> None:
        """At once; nothing where the process has ended."""
        self._exit_expected = self._exit_expected or number in {signal.SIGKILL, signal.SIGTERM}
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> str | None:
        """End it cleanly; what was wrong with that, in words, if anything was."""
        if self._process is None or self._process.returncode is not None:
            return None
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            await self.kill()
            return f"{self.name} did not stop within {STOP_TIMEOUT_SECONDS:g} s of SIGTERM."
        exit_ = self._process_exit(code)
        return (
            None
            if code == 0 or exit_.excused
            else f"{self.name} ended badly after SIGTERM: {exit_.last_line}"
        )

    async def supervise(self, log: Callable[[str], None]) -> None:
        """Start it again whenever it ends unasked, until cancelled."""
        while True:
            await asyncio.sleep(0.5)
            if self._process is None or self._exit_expected or self._process.returncode is None:
                continue
            exit_ = self._process_exit(self._process.returncode)
            self.exits.append(exit_)
            log(
                f"{self.name} ended by itself ({exit_.code}, {exit_.age_seconds:.0f} s old): {exit_.last_line}"
            )
            await self.start()

    def _process_exit(self, code: int) -> ProcessExit:
        now = time.time()
        with self.log.open("rb") as log:
            log.seek(self._log_offset)
            return ProcessExit(now, code, now - self._started_at, log.read().decode(errors="replace"))

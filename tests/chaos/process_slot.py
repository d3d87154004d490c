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
"""A process may end within this time of its start if it cannot reach Kafka, freezes included; later it must not."""


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """The end of a process. `at` is seconds since 1970; `log_text` is all that this process wrote to its log."""

    at: float
    code: int
    age_seconds: float
    log_text: str

    @property
    def excused(self) -> bool:
        """Whether the end breaks no promise.

        It does not after SIGKILL, after a SIGTERM during the start, and after a start that failed with a sentence.
        """
        starting = self.code in {1, -signal.SIGTERM} and self.age_seconds < STARTUP_SECONDS
        return self.code == -signal.SIGKILL or (starting and "Traceback" not in self.log_text)

    @property
    def last_line(self) -> str:
        lines = [line for line in self.log_text.splitlines() if line.strip()]
        return lines[-1] if lines else "its log is empty"


class ProcessSlot:
    """A service of the relay whose process is replaced, while its connection to Kafka and its log stay.

    Each process has its own session, and ends when this process ends.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        environ: Mapping[str, str],
        log: Path,
        proxy: KafkaProxy,
        module: str = "cli.service_process",
    ) -> None:
        self.name = name
        self.log = log
        self.proxy = proxy
        self.busy = False
        """Whether a fault is being played on it."""
        self.exits: list[ProcessExit] = []
        """Ends that no fault caused."""
        self._arguments = ["-m", module, *arguments]
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
        """Start a process, unless one is running."""
        async with self._start_lock:
            if self._process is None or self._process.returncode is not None:
                await self._start()

    async def _start(self) -> None:
        with self.log.open("ab") as output:
            self._log_offset = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, *self._arguments),
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=output,
                env=self._environ,
                start_new_session=True,
            )
        self._exit_expected, self._started_at = False, time.time()
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    @property
    def child_pid(self) -> int | None:
        """Process id of its first child process, which Linux tells. None: it has none, or has ended."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    async def wait_for_failure(self, seconds: float) -> str | None:
        """Wait for the end of a process that a fault has made to fail. Return a sentence if it did not fail well, else None."""
        self._exit_expected = True
        if self._process is None:
            return None
        try:
            async with asyncio.timeout(seconds):
                code = await self._process.wait()
        except TimeoutError:
            await self.kill()
            return f"{self.name} still ran {seconds:g} s after its child process was killed."
        exit_ = self._process_exit(code)
        failed_well = code == 1 and "Traceback" not in exit_.log_text
        return None if failed_well else f"{self.name} ended with {code} after its child: {exit_.last_line}"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process group; do nothing after the process has ended."""
        self._exit_expected = self._exit_expected or number in {signal.SIGKILL, signal.SIGTERM}
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def kill(self) -> None:
        """End the process with SIGKILL."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> str | None:
        """End the process with SIGTERM. Return a sentence if it did not end well, else None."""
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
            else f"{self.name} did not end well after SIGTERM: {exit_.last_line}"
        )

    async def supervise(self, log: Callable[[str], None]) -> None:
        """Start a new process after each unexpected end, until cancelled."""
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

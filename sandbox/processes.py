"""The sandbox's service processes: start, kill, freeze and stop, and the last error of their logs."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from pathlib import Path

from relay.errors import RelayError

STOP_SECONDS = 12.0
_TAIL_BYTES = 20_000


class ServiceProcess:
    """One service of the relay as a process in its own process group, with its log in `log`.

    It ends when this process ends, also by kill -9. It loads its program at the start and works once it is released.
    """

    def __init__(self, name: str, arguments: list[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._arguments = arguments
        self._environ = dict(environ)
        self._process: Process | None = None
        self._expected_running = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._require_started().pid

    async def start(self) -> None:
        """Start the process. It waits for `release`."""
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli.service_process", *self._arguments),
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=output,
                env=self._environ,
                start_new_session=True,
            )
        self._expected_running.set()

    def release(self) -> None:
        """Let the started process begin its work."""
        if pipe := self._require_started().stdin:
            pipe.write(b"\n")

    async def watch(self) -> None:
        """Watch the process until cancelled. Raises RelayError with its last error when it ends unasked."""
        while True:
            await self._expected_running.wait()
            code = await self._require_started().wait()
            if self._expected_running.is_set():
                raise RelayError(f"The {self.name} ended unexpectedly: {_exit_reason(code, self.log)}")

    async def kill(self) -> None:
        """End the process with SIGKILL."""
        self._expected_running.clear()
        self._signal(signal.SIGKILL)
        await self._require_started().wait()

    async def stop(self) -> str | None:
        """End the process with SIGTERM. Return a sentence if it did not end well, else None."""
        if self._process is None:
            return None
        self._expected_running.clear()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            await self.kill()
            return f"The {self.name} did not stop within {STOP_SECONDS:g} s and was killed."
        return None if code == 0 else f"The {self.name} did not stop cleanly: {_exit_reason(code, self.log)}"

    def _signal(self, number: signal.Signals) -> None:
        process = self._require_started()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _require_started(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"The {self.name} was not started.")
        return self._process


def _exit_reason(code: int, log: Path) -> str:
    if code < 0:
        return f"{signal.Signals(-code).name} ended it."
    return f"exit code {code}; {last_error(log)}"


def last_error(log: Path) -> str:
    """Return the last error of a log, as the end of a sentence."""
    with log.open("rb") as content:
        content.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = content.read().decode(errors="replace").splitlines()
    errors = (_error_text(line) for line in reversed(lines))
    return next((f"its last error: {words}" for words in errors if words), "its log has no error.")


def _error_text(line: str) -> str | None:
    """Return message and reason of an error of the relay's log, None for its other lines, and a foreign line as it is."""
    try:
        entry = json.loads(line)
        if entry["level"] in {"error", "critical"}:
            return " ".join(str(entry[name]) for name in ("message", "reason") if name in entry)
        return None
    except (ValueError, TypeError, LookupError):
        return line.strip()

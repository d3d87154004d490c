"""The child processes of a service that works in several: their start, their health, their metrics and their end.

A pair of sockets joins a child to its parent, with one line of JSON each way. The parent asks once a second, and tells the level of
its log; the child answers with the problems of its readiness and, if asked, with its metrics (`relay.parent_process`). The end of
the link asks the child to stop, so that it also stops when its parent dies.
A child is in a process group of its own, so Ctrl-C reaches the parent alone.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.metrics_core import Metric

from relay.aio import cancel_all, supervise
from relay.errors import RelayError
from relay.telemetry.health import Health
from relay.telemetry.logs import current_log_level
from relay.telemetry.merged_metrics import from_document

MAX_LINE_BYTES = 64_000_000
"""Of an answer: metrics of some thousand destinations."""


@dataclass(frozen=True, slots=True)
class ChildTiming:
    """Waits for a child, in seconds."""

    ask_seconds: float = 1.0
    answer_seconds: float = 10.0
    """Without an answer for so long, the child is not ready."""
    silent_answers: int = 6
    """After so many questions without an answer, the service ends."""
    start_answers: int = 18
    """Before its first answer: it loads its program, on a machine that may be busy."""
    metrics_seconds: float = 5.0
    """Prometheus waits for 10 s."""
    end_seconds: float = 5.0
    """From the end of the link to that of the process."""


DEFAULT_TIMING = ChildTiming()


class ChildProcess:
    """One child. It starts with this object, and `run` watches it."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        environ: Mapping[str, str],
        timing: ChildTiming = DEFAULT_TIMING,
    ) -> None:
        """`command`: the program and its arguments; the file descriptor of the link is added as the last one."""
        self.name = f"process {number}"
        self._timing = timing
        self._link, inherited = socket.socketpair()
        with inherited:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                [*command, str(inherited.fileno())],
                stdin=subprocess.DEVNULL,
                env=environ,
                pass_fds=[inherited.fileno()],
                process_group=0,
            )
        self._writer: asyncio.StreamWriter | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._metrics: list[Metric] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    async def run(self, stop: asyncio.Event, health: Health) -> None:
        """Watch the child until `stop`, then end it. Its problems are among those of `health`.

        Raises RelayError if it ends unasked, does not answer, or does not stop well. A cancellation kills it.
        """
        health.include(self.name, ["still starting"])
        reader, writer = await asyncio.open_connection(sock=self._link, limit=MAX_LINE_BYTES)
        self._writer = writer
        reading = asyncio.create_task(self._read(reader), name=f"answers of {self.name}")
        watching = asyncio.create_task(self._watch(writer, health), name=f"watch of {self.name}")
        try:
            await supervise(stop, {reading, watching})
            self._writer = None
            await cancel_all({watching})
            writer.write_eof()
            await asyncio.wait({reading})
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, self._timing.end_seconds)
        finally:
            self._writer = None
            await cancel_all({reading, watching})
            writer.close()
            self._kill()
        self._check_end(asked=stop.is_set())

    async def metrics(self) -> Sequence[Metric]:
        """Return the metrics of the child; while it does not answer, the last known ones, since a counter must not fall."""
        if self._writer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.metrics_seconds):
                    self._metrics = from_document((await self._ask(self._writer, metrics=True))["metrics"])
        return self._metrics

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hand each answer to its question, until the child ends. An answer that came too late has no question any more."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                answer = json.loads(line)
                question = self._answers.get(answer["number"])
                if question is not None and not question.done():
                    question.set_result(answer)

    async def _watch(self, writer: asyncio.StreamWriter, health: Health) -> None:
        """Ask until cancelled. Raises RelayError after too many questions without an answer.

        Questions are counted, and not seconds: a parent that was frozen itself must not blame its child.
        """
        timing = self._timing
        unanswered, patience = 0, timing.start_answers
        while unanswered < patience:
            try:
                async with asyncio.timeout(timing.answer_seconds):
                    answer = await self._ask(writer, metrics=False)
            except TimeoutError:
                unanswered += 1
                seconds = unanswered * timing.answer_seconds
                health.include(
                    self.name, [f"it has not answered for {seconds:g} s; the service ends if it stays silent"]
                )
                continue
            unanswered, patience = 0, timing.silent_answers
            health.include(self.name, answer["problems"])
            await asyncio.sleep(timing.ask_seconds)
        raise RelayError(
            f"{self.name.capitalize()} (pid {self.pid}) has not answered for {unanswered * timing.answer_seconds:g} s and was killed."
            " Nothing is lost: the next start resumes from Kafka. If this repeats, see its last lines in the log."
        )

    async def _ask(self, writer: asyncio.StreamWriter, *, metrics: bool) -> Any:
        """Return the answer to one question. The caller bounds the wait."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        question = {"number": number, "log_level": current_log_level(), "metrics": metrics}
        try:
            writer.write(json.dumps(question).encode() + b"\n")
            return await answer
        finally:
            del self._answers[number]

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _check_end(self, *, asked: bool) -> None:
        code = self._process.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not asked:
            raise RelayError(
                f"{self.name.capitalize()} (pid {self.pid}) ended unasked, with {how}. Nothing is lost: the next start resumes from Kafka."
                " Its last lines in the log say why; SIGKILL is often the kernel's, when memory runs out."
            )
        # A manager like systemd sends SIGTERM to each process; a child that still loads its program ends with it.
        if code not in (0, -signal.SIGTERM):
            raise RelayError(
                f"{self.name.capitalize()} (pid {self.pid}) did not stop well: {how}. See its last lines in the log."
            )

"""Run a Kafka of one node."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from embedded import artifacts, cache, java, log, ports
from embedded.archive import ClassArchive, archive_name
from embedded.directory import DataDirectory
from embedded.errors import EmbeddedKafkaError
from embedded.properties import HOST, NO_FLUSH, server_properties
from embedded.ready import is_ready

_READY_SECONDS = 300
_TERMINATE_SECONDS = 20
_LOG_CHECK_SECONDS = 60
_EXIT_NOTICE_SECONDS = 2
_NO_PROPERTIES: Mapping[str, str] = MappingProxyType({})


class EmbeddedKafka:
    """A real Apache Kafka of one node on this machine. It listens on loopback.

    Acknowledged records are on the disk.
    It ends with `stop`, and on Linux also when the thread that started it ends, even by kill -9.
    On other systems, the next start on the same directory ends a Kafka that outlived its program.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        maven_repository: str | None = None,
        heap: str = "256m",
        flush_each_write: bool = True,
        extra_properties: Mapping[str, str] = _NO_PROPERTIES,
        cache_dir: Path | None = None,
        progress: cache.Progress | None = None,
    ) -> None:
        """Port 0: choose a free port at the first start, and keep it.

        `progress` gets bytes downloaded and bytes in all, if Kafka is not in the cache folder yet.
        Without `flush_each_write`, a power cut loses the last seconds; kill -9 does not.
        """
        self._directory = DataDirectory(data_dir)
        self._port = port
        self._controller_port = 0
        self._repository = maven_repository
        self._heap = heap
        self._extra = {**({} if flush_each_write else NO_FLUSH), **extra_properties}
        self._cache = cache_dir or cache.default_folder(os.environ, cache.home_folder())
        self._progress = progress
        self._output = self._directory.path / "kafka.log"
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[EmbeddedKafkaError | None] | None = None
        self._archiver: asyncio.Task[None] | None = None
        self._stopping = False
        self._killed = False

    @property
    def directory(self) -> Path:
        return self._directory.path

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("Kafka was not started.")
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start Kafka, and return when every partition has a leader. Also after `stop`, and after its death.

        Raises EmbeddedKafkaError. Nothing is left running then.
        """
        await self.stop()
        self._killed = False
        program = java.find_java()
        jars = artifacts.kafka_artifacts()
        paths = await cache.fetch(jars, self._cache, self._repository, self._progress)
        archive = ClassArchive(
            self._cache / archive_name(program, jars), self._directory.temporary / "classes"
        )
        try:
            await self._start(java.Java(program, tuple(paths)), archive)
        except OSError as error:
            await self.stop()
            raise EmbeddedKafkaError(
                f"The data directory {self._directory.path} cannot be used ({error.strerror or error}): "
                "free some space, check its owner, or set embedded.data_dir to another directory."
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop Kafka cleanly within 20 s, else kill it. Neither loses an acknowledged record."""
        self._stopping = True
        try:
            await self._stop_archiver()
            await self._stop_kafka()
        finally:
            self.kill()
            self._directory.release()

    def kill(self) -> None:
        """Kill Kafka, as kill -9 does."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def wait_for_exit(self) -> EmbeddedKafkaError | None:
        """Wait until Kafka ends. Return the reason, or None if `stop` ended it."""
        if self._watcher is None:
            raise RuntimeError("Kafka was not started.")
        return await asyncio.shield(self._watcher)

    async def was_killed(self) -> bool:
        """Return whether another process killed Kafka, so that a restart is enough.

        Waits up to 2 s: the end of a process is noticed a moment after the end of its connections.
        """
        if self._watcher is not None:
            await asyncio.wait([self._watcher], timeout=_EXIT_NOTICE_SECONDS)
        return self._killed

    async def _start(self, runtime: java.Java, archive: ClassArchive) -> None:
        await self._directory.claim()
        self._choose_ports()
        log.rotate(self._output)
        version = artifacts.kafka_version()
        if not self._directory.is_formatted(version):
            await self._format(runtime, archive)
            self._directory.commit_format(version)
        self._process = await self._run(runtime, self._directory.log, archive.flag, "kafka.Kafka")
        self._directory.kafka_lock.release()
        self._stopping = False
        self._watcher = asyncio.create_task(self._watch(self._process))
        await self._wait_until_ready(self._watcher)
        self._archiver = asyncio.create_task(archive.build(runtime))

    def _choose_ports(self) -> None:
        if self._port:
            ports.require_free(self._port)
        self._port = self._port or ports.pick_free_port()
        self._controller_port = ports.pick_free_port()

    async def _format(self, runtime: java.Java, archive: ClassArchive) -> None:
        sharing = (archive.flag,) if archive.path.exists() else ()
        tool = ("kafka.tools.StorageTool", "format", "--standalone", "-t", _cluster_id(), "-c")
        process = await self._run(runtime, self._directory.formatting, *sharing, *tool)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        if code != 0:
            raise EmbeddedKafkaError(
                f"Embedded Kafka cannot format its data directory: {self._explain(code)}"
            )

    async def _run(
        self, runtime: java.Java, log_directory: Path, *command: str
    ) -> asyncio.subprocess.Process:
        properties = self._directory.path / "server.properties"
        properties.write_text(
            server_properties(self._port, self._controller_port, log_directory.name, self._extra)
        )
        return await runtime.start(
            *(f"-Xmx{self._heap}", f"-Djava.io.tmpdir={self._directory.temporary}"),
            *(*command, properties.name),
            directory=self._directory.path,
            lock=self._directory.kafka_lock.descriptor,
            output=self._output,
        )

    async def _wait_until_ready(self, watcher: asyncio.Task[EmbeddedKafkaError | None]) -> None:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._answers():
                    if watcher.done():
                        raise watcher.result() or EmbeddedKafkaError(
                            "Embedded Kafka was stopped during its start."
                        )
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise EmbeddedKafkaError(
                f"Embedded Kafka was not ready within {_READY_SECONDS} s: {self._explain()}"
            ) from error

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(2):
                return await is_ready(HOST, self._port)
        except (OSError, EOFError, TimeoutError):
            return False

    async def _watch(self, process: asyncio.subprocess.Process) -> EmbeddedKafkaError | None:
        while process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOG_CHECK_SECONDS):
                    await process.wait()
            with contextlib.suppress(OSError):
                log.limit_size(self._output)
        if self._stopping:
            return None
        self._killed = process.returncode == -signal.SIGKILL
        return EmbeddedKafkaError(f"Embedded Kafka ended: {self._explain(process.returncode)}")

    async def _stop_archiver(self) -> None:
        if self._archiver:
            self._archiver.cancel()
            await asyncio.wait([self._archiver])

    async def _stop_kafka(self) -> None:
        if self._process is None or self._watcher is None:
            return
        with contextlib.suppress(TimeoutError, ProcessLookupError):
            async with asyncio.timeout(_TERMINATE_SECONDS):
                if self._process.returncode is None:
                    self._process.terminate()
                await asyncio.shield(self._watcher)
        self.kill()
        await asyncio.shield(self._watcher)

    def _explain(self, code: int | None = None) -> str:
        try:
            return f"{log.explain(self._output, code)}\nThe whole log: {self._output}"
        except OSError as error:
            return f"its log cannot be read either ({error.strerror}): {self._output}"


def _cluster_id() -> str:
    """Return a random cluster id. It begins with a letter, since Kafka's tool takes a leading dash for an option."""
    return "r" + secrets.token_urlsafe(16)[1:]

"""The data directory: its owner, the version of Kafka that formatted it, and its layout."""

import contextlib
import os
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import EmbeddedKafkaError
from embedded.file_lock import FileLock


@dataclass(frozen=True, slots=True)
class DirectoryLimits:
    """Bounds of the use of a data directory."""

    terminate_seconds: float = 15
    """How long an earlier Kafka may take to end after SIGTERM."""
    kill_seconds: float = 5
    """The same, after SIGKILL."""
    min_free_bytes: int = 16_000_000
    """A Kafka that cannot unpack its codecs at its start rejects every write until its next start."""


DEFAULT_LIMITS = DirectoryLimits()


class DataDirectory:
    """A data directory with two locks, which the system releases when their processes end.

    One lock is held by the program that uses the directory, the other by its Kafka, which may outlive the program.
    """

    def __init__(self, path: Path, limits: DirectoryLimits = DEFAULT_LIMITS) -> None:
        self.path = path.absolute()
        self._limits = limits
        self.log = self.path / "log"
        self.formatting = self.path / "formatting"
        self.temporary = self.path / "tmp"
        self._version = self.path / "kafka.version"
        self._owner_lock = FileLock(self.path / "owner.lock")
        self.kafka_lock = FileLock(self.path / "kafka.lock")

    async def claim(self) -> None:
        """Take both locks, after ending a Kafka that an earlier program left running.

        Raises EmbeddedKafkaError if another program uses the directory or its disk is full, OSError if it is not
        writable.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not self._owner_lock.acquire():
            raise EmbeddedKafkaError(
                f"The data directory {self.path} is in use by another process ({self._owner_lock.holder() or 'unknown'}): "
                "stop that process, or set embedded.data_dir to another directory."
            )
        self._owner_lock.write(str(os.getpid()))
        await self._end_earlier_kafka()
        for leftover in (self.temporary, self.formatting):
            shutil.rmtree(leftover, ignore_errors=True)
        self.temporary.mkdir(exist_ok=True)
        self._require_free_space()

    def _require_free_space(self) -> None:
        free = shutil.disk_usage(self.path).free
        if free < self._limits.min_free_bytes:
            raise EmbeddedKafkaError(
                f"The disk of the data directory {self.path} is full ({free / 1e6:.1f} MB "
                f"free; Kafka needs {self._limits.min_free_bytes / 1e6:.0f} to start): "
                "free some space, or set embedded.data_dir to a directory on another disk."
            )

    async def _end_earlier_kafka(self) -> None:
        for signal_number, patience_seconds in (
            (signal.SIGTERM, self._limits.terminate_seconds),
            (signal.SIGKILL, self._limits.kill_seconds),
        ):
            if self.kafka_lock.acquire():
                return
            if holder := self.kafka_lock.holder():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(holder, signal_number)
            if await self.kafka_lock.acquire_within(patience_seconds):
                return
        raise EmbeddedKafkaError(
            f"An earlier Kafka (process {self.kafka_lock.holder() or 'unknown'}) "
            f"still uses {self.path} and does not end: kill it."
        )

    def release(self) -> None:
        """Release both locks."""
        self.kafka_lock.release()
        self._owner_lock.release()

    def is_formatted(self, version: str) -> bool:
        """Return whether Kafka has formatted the directory.
        Raises EmbeddedKafkaError if its data are of a newer version, or corrupt.
        """
        if not self.log.exists():
            return False
        made_by = self._version.read_text().strip() if self._version.exists() else ""
        if not (self.log / "meta.properties").exists() or not re.fullmatch(r"\d+(\.\d+)*", made_by):
            raise EmbeddedKafkaError(
                f"{self.path} holds other data than those of an embedded Kafka, or they are corrupt: "
                "restore a copy, or set embedded.data_dir to another directory to start empty."
            )
        if _numbers(made_by) > _numbers(version):
            raise EmbeddedKafkaError(
                f"The data in {self.path} are of Kafka {made_by}, newer than this program's {version}: "
                "use the newer program, or set embedded.data_dir to another directory to start empty."
            )
        return True

    def commit_format(self, version: str) -> None:
        """Make the content of `formatting` the log directory, atomically."""
        self._version.write_text(f"{version}\n")
        self.formatting.replace(self.log)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))

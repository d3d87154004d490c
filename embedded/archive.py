"""Java's archive of loaded classes (CDS), which halves the start time of Kafka. Kafka works without it too."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from embedded.artifacts import Artifact
from embedded.file_lock import FileLock
from embedded.java import Java

_BUILD_SECONDS = 300


def archive_name(program: Path, jars: Iterable[Artifact]) -> str:
    """Return the file name of the archive. It changes with the Java release and with the jars."""
    release = program.parents[1] / "release"
    key = hashlib.sha256(release.read_bytes() + "".join(jar.sha512 for jar in jars).encode())
    return f"classes-{key.hexdigest()[:16]}.jsa"


@dataclass(frozen=True, slots=True)
class ClassArchive:
    """The archive at `path`. Until it exists, a running Kafka lists its loaded classes in `class_list`."""

    path: Path
    class_list: Path

    @property
    def flag(self) -> str:
        """Return the Java option that uses the archive, or that records the class list for it."""
        if self.path.exists():
            return f"-XX:SharedArchiveFile={self.path}"
        return f"-XX:DumpLoadedClassList={self.class_list}"

    async def build(self, java: Java) -> None:
        """Create the archive if it is missing.
        Does nothing if another process builds it, or the cache folder is read-only.

        It takes some seconds of one core, at the lowest priority. A cancelled build leaves nothing behind.
        """
        if self.path.exists():
            return
        lock = FileLock(self.path.with_suffix(".lock"))
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            if lock.acquire() and not self.path.exists():
                self._remove_abandoned()
                await self._dump(java, partial, lock.descriptor)
                partial.replace(self.path)
        except OSError:
            return
        finally:
            lock.release()
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def _remove_abandoned(self) -> None:
        for leftover in self.path.parent.glob(f"{self.path.stem}.*.partial"):
            leftover.unlink(missing_ok=True)

    async def _dump(self, java: Java, target: Path, lock: int) -> None:
        """Write the archive. Raises OSError if Java produces none."""
        listed = self.class_list.with_suffix(".complete")
        listed.write_bytes(self.class_list.read_bytes().rpartition(b"\n")[0])
        process = await java.start(
            *("-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={target}"),
            directory=listed.parent,
            lock=lock,
            output=listed.with_suffix(".log"),
            niceness=19,
        )
        try:
            async with asyncio.timeout(_BUILD_SECONDS):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        with target.open("rb") as content:
            os.fsync(content.fileno())

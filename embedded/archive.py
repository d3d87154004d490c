"""Java's archive of loaded classes, which halves the time Kafka takes to start. Without one everything works as well."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from embedded.artifacts import Artifact
from embedded.java import Java
from embedded.locks import FileLock

_BUILD_SECONDS = 300


def archive_name(program: Path, jars: Iterable[Artifact]) -> str:
    """Another Java or other jars want another archive."""
    release = program.parents[1] / "release"
    key = hashlib.sha256(release.read_bytes() + "".join(jar.sha512 for jar in jars).encode())
    return f"classes-{key.hexdigest()[:16]}.jsa"


@dataclass(frozen=True, slots=True)
class ClassArchive:
    """`class_list` is where a Kafka that runs without archive notes what should be in it."""

    path: Path
    class_list: Path

    @property
    def flag(self) -> str:
        if self.path.exists():
            return f"-XX:SharedArchiveFile={self.path}"
        return f"-XX:DumpLoadedClassList={self.class_list}"

    async def build(self, java: Java) -> None:
        """Make the archive if there is none; quietly not, if another process is at it or the cache folder cannot be written.

        Takes some seconds of one core at the lowest priority. Cancelled, it leaves nothing behind.
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
        """Raises OSError where no archive came out."""
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

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class SchemaCache:
    """Answers that never change, one file each, for the time when whoever gave them is away.

    It never fails: what cannot be read or written is logged and done without. A file is whole or ignored, since its first
    line is the SHA-256 of the rest. Any number of processes may share the directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, name: str) -> str | None:
        path = self._directory / name
        try:
            checksum, _, text = path.read_bytes().decode().partition("\n")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            log.warning(
                "A kept schema cannot be read; going on without it.", path=str(path), reason=str(error)
            )
            return None
        if checksum != _checksum(text):
            log.warning("A kept schema is damaged; going on without it.", path=str(path))
            return None
        return text

    def put(self, name: str, text: str) -> None:
        path = self._directory / name
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, f"{_checksum(text)}\n{text}".encode())
        except OSError as error:
            log.warning(
                "A schema cannot be kept; nothing will be known of it while the registry is away."
                " Check schema_registry.cache_directory.",
                path=str(path),
                reason=str(error),
            )


def _write_atomically(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

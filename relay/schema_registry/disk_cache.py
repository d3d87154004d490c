"""Keep answers of the registry on disk."""

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class SchemaCache:
    """Immutable answers, one file each, for times when their source is not available.

    It raises nothing: a file that cannot be read or written is logged and ignored.
    The first line of a file is the SHA-256 of the rest, so a partial file is detected.
    Any number of processes may share the directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, name: str) -> str | None:
        """Return the text kept under this name. None if there is none, or it is corrupt."""
        path = self._directory / name
        try:
            checksum, _, text = path.read_bytes().decode().partition("\n")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            log.warning(
                "A cached schema could not be read and was ignored.", path=str(path), reason=str(error)
            )
            return None
        if checksum != _checksum(text):
            log.warning("A cached schema was corrupt and ignored.", path=str(path))
            return None
        return text

    def put(self, name: str, text: str) -> None:
        """Keep a text under this name."""
        path = self._directory / name
        try:
            if self._directory.parts[:1] == ("~",):
                raise OSError("this user has no home directory")
            self._directory.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, f"{_checksum(text)}\n{text}".encode())
        except OSError as error:
            log.warning(
                "A schema was not cached. Check schema_registry.cache_directory.",
                path=str(path),
                reason=str(error),
            )


def registry_file(url: str, kind: str, *parts: str) -> str:
    """Return the name of the file that keeps an answer of the registry at this URL."""
    return f"{kind}-{hashlib.sha256(json.dumps([url, *parts]).encode()).hexdigest()[:32]}"


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

"""Notice that a file is another one."""

from collections.abc import Sequence
from pathlib import Path

FileStamp = tuple[int, int, int]


def file_stamps(files: Sequence[Path]) -> list[FileStamp | None]:
    """Return a value of each file that differs once it was replaced or written. None: the file is not there."""
    return [_stamp(each) for each in files]


def _stamp(path: Path) -> FileStamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns

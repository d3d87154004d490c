"""What is read from files and from standard input, each with a bound."""

import sys
from pathlib import Path

from management.inputs import InputError

LARGEST_BYTES = 16 * 1024 * 1024
STANDARD_INPUT = "-"


def read_text(file: str) -> str:
    """The text of a file; - is standard input. Raises InputError."""
    try:
        content = _content(file)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"{file} cannot be read: {reason or 'no such file'}.") from None
    if len(content) > LARGEST_BYTES:
        raise InputError(f"{file} is larger than {LARGEST_BYTES} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text.") from None


def read_standard_input(most: int) -> bytes:
    """At most so many bytes; none where it is closed."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read(most)


def _content(file: str) -> bytes:
    if file == STANDARD_INPUT:
        return read_standard_input(LARGEST_BYTES + 1)
    with Path(file).expanduser().open("rb") as opened:
        return opened.read(LARGEST_BYTES + 1)

import sys
from pathlib import Path

from management.inputs import InputError

LARGEST_BYTES = 16 * 1024 * 1024


def read_text(file: str) -> str:
    """The text of a file; - is standard input. Raises InputError."""
    try:
        if file == "-":
            content = sys.stdin.buffer.read(LARGEST_BYTES + 1)
        else:
            with Path(file).expanduser().open("rb") as opened:
                content = opened.read(LARGEST_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"{file} cannot be read: {reason or 'no such file'}.") from None
    if len(content) > LARGEST_BYTES:
        raise InputError(f"{file} is larger than {LARGEST_BYTES} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text.") from None

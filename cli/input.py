"""What is read from files and from standard input, each with a bound."""

import getpass
import sys
from pathlib import Path

from pydantic import SecretStr

from management.organizations.validation import (
    MAX_KEY_BYTES,
    ApiKey,
    InputError,
    validate_key,
    validate_reference,
)

MAX_BYTES = 16 * 1024 * 1024
STANDARD_INPUT = "-"


def read_text(file: str) -> str:
    """The text of a file; - is standard input. Raises InputError."""
    try:
        content = _read_bytes(file)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"{file} cannot be read: {reason or 'no such file'}.") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{file} is larger than {MAX_BYTES} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text.") from None


def read_stdin(max_bytes: int) -> bytes:
    """At most so many bytes; none where it is closed."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read(max_bytes)


def _read_bytes(file: str) -> bytes:
    if file == STANDARD_INPUT:
        return read_stdin(MAX_BYTES + 1)
    with Path(file).expanduser().open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def key_from_options(file: str | None, reference: str | None) -> ApiKey | None:
    """None: neither was given. Raises InputError."""
    if file is not None and reference is not None:
        raise InputError("--api-key-file and --api-key-ref are both given: keep one of them.")
    if reference is not None:
        return validate_reference(reference)
    return None if file is None else read_key(file)


def read_key(file: str, directory: Path = Path()) -> SecretStr:
    """The key in a file, found from `directory`. The name is not repeated in errors: it may be the key itself, put in the wrong place."""
    if file == STANDARD_INPUT:
        return validate_key(_read_key_from_stdin())
    try:
        with (directory / Path(file).expanduser()).open("rb") as opened:
            return validate_key(opened.read(MAX_KEY_BYTES + 1))
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(
            f"The file of the API key cannot be read: {reason or 'no such file'}. It takes the path of a file that holds the key,"
            " not the key."
        ) from None


def _read_key_from_stdin() -> bytes:
    if sys.stdin is not None and sys.stdin.isatty():
        return getpass.getpass("API key: ").encode()
    return read_stdin(MAX_KEY_BYTES + 1)

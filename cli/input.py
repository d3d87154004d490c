"""Input from files and standard input, each with a limit on its size."""

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
    """Read a UTF-8 text of at most MAX_BYTES. `-` is standard input. Raises InputError."""
    try:
        content = _read_bytes(file)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(
            f"{file} cannot be read: {reason or 'no such file'}; check path and permissions."
        ) from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{file} is larger than {MAX_BYTES} bytes; split it.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text; save it as UTF-8.") from None


def read_stdin(max_bytes: int) -> bytes:
    """Read at most `max_bytes` from standard input; none when it is closed."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read(max_bytes)


def _read_bytes(file: str) -> bytes:
    if file == STANDARD_INPUT:
        return read_stdin(MAX_BYTES + 1)
    with Path(file).expanduser().open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def key_from_options(file: str | None, reference: str | None) -> ApiKey | None:
    """Return the API key of `--api-key-file` or the reference of `--api-key-ref`. None: neither is given. Raises InputError."""
    if file is not None and reference is not None:
        raise InputError("--api-key-file and --api-key-ref are both given; keep one of them.")
    if reference is not None:
        return validate_reference(reference)
    return None if file is None else read_key(file)


def read_key(file: str, directory: Path = Path()) -> SecretStr:
    """Read the key in a file; a relative path starts at `directory`. Raises InputError.

    Errors do not repeat the path: it may be the key itself, given in the wrong place.
    """
    if file == STANDARD_INPUT:
        return validate_key(_read_key_from_stdin())
    try:
        with (directory / Path(file).expanduser()).open("rb") as opened:
            return validate_key(opened.read(MAX_KEY_BYTES + 1))
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(
            f"The file of the API key cannot be read: {reason or 'no such file'}. Give the path of a file that holds the key, not"
            " the key itself."
        ) from None


def ask_for_key() -> SecretStr:
    """Return the API key that a person types at the terminal, without showing it. Raises InputError where nobody can be asked."""
    if not _is_terminal():
        raise InputError(
            "The API key is missing; give --api-key-file FILE (- is standard input) or --api-key-ref REF."
        )
    return validate_key(_read_key_from_stdin())


def _read_key_from_stdin() -> bytes:
    return getpass.getpass("API key: ").encode() if _is_terminal() else read_stdin(MAX_KEY_BYTES + 1)


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()

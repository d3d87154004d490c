"""API keys as they are given: in a file or on standard input, never on the command line."""

import getpass
import sys
from pathlib import Path

from pydantic import SecretStr

from cli.texts import STANDARD_INPUT, read_standard_input
from management.inputs import MOST_KEY_BYTES, InputError, Key, checked_key, checked_reference


def given_key(file: str | None, reference: str | None) -> Key | None:
    """None: neither was given. Raises InputError."""
    if file is not None and reference is not None:
        raise InputError("--api-key-file and --api-key-ref are both given: keep one of them.")
    if reference is not None:
        return checked_reference(reference)
    return None if file is None else read_key(file)


def read_key(file: str, base: Path = Path()) -> SecretStr:
    """The key in a file, found from `base`. The name is not repeated in errors: it may be the key itself, put in the wrong place."""
    if file == STANDARD_INPUT:
        return checked_key(_standard_input())
    try:
        with (base / Path(file).expanduser()).open("rb") as opened:
            return checked_key(opened.read(MOST_KEY_BYTES + 1))
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(
            f"The file of the API key cannot be read: {reason or 'no such file'}. It takes the path of a file that holds the key,"
            " not the key."
        ) from None


def _standard_input() -> bytes:
    if sys.stdin is not None and sys.stdin.isatty():
        return getpass.getpass("API key: ").encode()
    return read_standard_input(MOST_KEY_BYTES + 1)

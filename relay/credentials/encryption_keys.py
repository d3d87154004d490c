"""The keys that encrypt API keys: those of the settings, those of a file, and new ones."""

import base64
import binascii
import hashlib
import os
import secrets
from pathlib import Path

from relay.config.secrets import SecretsConfig
from relay.errors import SettingsError
from relay.file_stamps import file_stamps

_KEY_BYTES = 32
_KEY_HINT = "create one with `openssl rand -base64 32`"


def read_keys(settings: SecretsConfig) -> list[bytes]:
    """Return the keys of `secrets.key_file` or `secrets.keys` now, at least one. Raises SettingsError."""
    if settings.key_file is not None:
        source = f"secrets.key_file {settings.key_file}"
        texts = _read_texts(settings.key_file, source)
    else:
        source, texts = "secrets.keys", [key.get_secret_value() for key in settings.keys]
    if not texts:
        raise SettingsError(f"{source} holds no key: {_KEY_HINT}.")
    return [_parse_key(text, f"{source}: key {number}") for number, text in enumerate(texts, 1)]


def key_stamps(settings: SecretsConfig) -> object:
    """Return a value that differs once the keys may do."""
    if settings.key_file is not None:
        return file_stamps([settings.key_file])
    return [hashlib.sha256(key.get_secret_value().encode()).digest() for key in settings.keys]


def make_key() -> bytes:
    """Return a new random key."""
    return secrets.token_bytes(_KEY_BYTES)


def read_key(path: Path) -> bytes:
    """Return the only key of a file. Raises SettingsError."""
    texts = _read_texts(path, str(path))
    if len(texts) != 1:
        raise SettingsError(f"{path} holds {len(texts)} keys: give a file with one key.")
    return _parse_key(texts[0], str(path))


def make_encryption_key_file(directory: Path) -> Path:
    """Return the key file of a single-machine installation. Create it (mode 0600) if it is missing.

    The file is durable when this returns, and concurrent callers get the same file. The directory must exist.
    Raises SettingsError.
    """
    path = directory / "secrets.key"
    try:
        if not path.exists():
            _write_key(path)
    except OSError as error:
        raise SettingsError(
            f"The key file {path} cannot be created: {error.strerror}. "
            "Make the directory writable, or set secrets.key_file."
        ) from error
    return path


def _parse_key(text: str, source: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise SettingsError(f"{source} is not base64 of 32 bytes: {_KEY_HINT}.")
    return key


def _read_texts(path: Path, source: str) -> list[str]:
    try:
        text = path.read_text("ascii")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{source} is not text: it must hold base64 of 32 bytes; {_KEY_HINT}.") from error
    except OSError as error:
        raise SettingsError(
            f"{source} cannot be read: {error.strerror}. Check its path and permissions."
        ) from error
    return [line for line in text.splitlines() if line.strip()]


def _write_key(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(base64.b64encode(make_key()) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _link(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""The encryption of API keys at rest.

What is sealed, an API key or a reference to one, is bound to the organization's name, URL and user and opens for no others,
so whoever may write the organizations topic cannot have a key sent elsewhere.
"""

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from relay.config.secrets import SecretsConfig
from relay.errors import SecretError, SettingsError

# version (1) | id of the key (8) | nonce (12) | ciphertext and tag (16 and more)
_VERSION = b"\x01"
_ID_BYTES, _NONCE_BYTES, _TAG_BYTES = 8, 12, 16
_KEY_BYTES = 32
_REFERENCE_SUFFIX = b"reference"  # behind an owner, whose own bytes tell where they end
_KEY_HINT = "`openssl rand -base64 32` makes one"


@dataclass(frozen=True, slots=True)
class CredentialOwner:
    """Whom a key was given for."""

    name: str
    url: str
    user: str

    @classmethod
    def of(cls, organization: Mapping[str, Any]) -> "CredentialOwner":
        return cls(organization["name"], organization["url"], organization["user"])

    def associated_data(self) -> bytes:
        """No two owners have the same: each part stands behind its length."""
        parts = (part.encode("utf-8", "surrogatepass") for part in (self.name, self.url, self.user))
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class Keyring:
    """The keys of `secrets.keys` or `secrets.key_file`: the first seals, all open."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        """At least one key of 32 bytes."""
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._sealing_id = next(iter(self._ciphers))

    @property
    def ids(self) -> list[str]:
        """What the keys are called, in their order; a key cannot be guessed from it."""
        return [known.hex() for known in self._ciphers]

    def seal(self, secret: SecretStr, owner: CredentialOwner) -> bytes:
        return self._seal(secret.get_secret_value(), owner.associated_data())

    def seal_reference(self, reference: str, owner: CredentialOwner) -> bytes:
        """Never opens as a key, nor a key as it."""
        return self._seal(reference, owner.associated_data() + _REFERENCE_SUFFIX)

    def open(self, sealed: bytes, owner: CredentialOwner) -> SecretStr:
        """Raises SecretError, also when it was sealed for another owner."""
        remedy = how_to_set_again(owner)
        try:
            return SecretStr(self._open(sealed, owner.associated_data(), owner.name, remedy))
        except InvalidTag:
            raise SecretError(
                f"The stored API key of {owner.name} was not given for {owner.url} and the user {owner.user}, or is damaged: if"
                f" they are right, {remedy}"
            ) from None

    def verify_reference(self, reference: str, sealed: bytes | None, owner: CredentialOwner) -> None:
        """Return only if this very reference was sealed for this owner; else raise SecretError."""
        remedy = how_to_set_again(owner, f"--api-key-ref {reference}")
        with contextlib.suppress(InvalidTag):
            associated_data = owner.associated_data() + _REFERENCE_SUFFIX
            if sealed is not None and self._open(sealed, associated_data, owner.name, remedy) == reference:
                return
        raise SecretError(
            f"Nobody who has the keys of this relay gave {reference} to {owner.name} for {owner.url} and the user {owner.user},"
            f" so no key is sent there: if they are right, {remedy}"
        )

    def _seal(self, text: str, associated_data: bytes) -> bytes:
        head, nonce = _VERSION + self._sealing_id, secrets.token_bytes(_NONCE_BYTES)
        return (
            head
            + nonce
            + self._ciphers[self._sealing_id].encrypt(nonce, text.encode(), head + associated_data)
        )

    def _open(self, sealed: bytes, associated_data: bytes, name: str, remedy: str) -> str:
        """Raises InvalidTag for what was sealed for another, and SecretError."""
        head, rest = sealed[: 1 + _ID_BYTES], sealed[1 + _ID_BYTES :]
        if head[:1] != _VERSION or len(rest) < _NONCE_BYTES + _TAG_BYTES:
            raise SecretError(f"What is stored of the API key of {name} is damaged: {remedy}")
        cipher = self._ciphers.get(head[1:])
        if cipher is None:
            raise SecretError(
                f"The API key of {name} was encrypted with the key {head[1:].hex()}, which is not in secrets.keys"
                f" (there: {', '.join(self.ids)}): put it back, or {remedy}"
            )
        return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + associated_data).decode()


def load_keyring(settings: SecretsConfig) -> Keyring | None:
    """None where neither keys nor a key file is set; raises SettingsError for keys that cannot be used."""
    if settings.key_file is not None:
        source, texts = f"secrets.key_file {settings.key_file}", _read_keys(settings.key_file)
    else:
        source, texts = "secrets.keys", [key.get_secret_value() for key in settings.keys]
        if not texts:
            return None
    if not texts:
        raise SettingsError(f"{source} holds no key: {_KEY_HINT}.")
    return Keyring([_parse_key(text, f"{source}: key {number}") for number, text in enumerate(texts, 1)])


def require_keyring(settings: SecretsConfig) -> Keyring:
    """As `load_keyring`, for those who cannot do without."""
    keyring = load_keyring(settings)
    if keyring is None:
        raise SettingsError(
            "There is no key to encrypt API keys with: put base64 of 32 random bytes into a file"
            " (`openssl rand -base64 32 > relay.key`) and set secrets.key_file (RELAY_SECRETS__KEY_FILE) to it, the same"
            " on every machine of the relay."
        )
    return keyring


def make_key_file(directory: Path) -> Path:
    """The key file of an installation of one machine, made (mode 0600) when it is not there yet.

    Once it is returned it survives a power cut, and of several who make it at once all get the same one. The directory must
    exist. Raises SettingsError.
    """
    path = directory / "secrets.key"
    try:
        if not path.exists():
            _write_key(path)
    except OSError as error:
        raise SettingsError(
            f"The key file {path} cannot be made: {error.strerror}; make the directory writable, or set secrets.key_file."
        ) from error
    return path


def sealing_key_id(sealed: bytes) -> str:
    """What the key is called that this was sealed with."""
    return sealed[1 : 1 + _ID_BYTES].hex()


def how_to_set_again(owner: CredentialOwner, option: str = "--api-key-file FILE") -> str:
    """The end of a sentence: what an operator does where a key is lost."""
    return f"give it again (jira-relay organizations modify {shlex.quote(owner.name)} {option})."


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"jira-audit-relay key id" + key).digest()[:_ID_BYTES]


def _parse_key(text: str, source: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise SettingsError(f"{source} is not base64 of 32 bytes: {_KEY_HINT}.")
    return key


def _read_keys(path: Path) -> list[str]:
    try:
        text = path.read_text("ascii")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"secrets.key_file {path} is not text: it must hold base64 of 32 bytes; {_KEY_HINT}."
        ) from error
    except OSError as error:
        raise SettingsError(f"secrets.key_file {path} cannot be read: {error.strerror}.") from error
    return [line for line in text.splitlines() if line.strip()]


def _write_key(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
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

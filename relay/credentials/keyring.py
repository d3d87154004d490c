"""Encrypt the API keys of organizations, and references to them.

The ciphertext is bound to the organization's name, URL and user, and decrypts for no other.
So a writer of the organizations topic cannot make the relay send a key to another place.
"""

import contextlib
import hashlib
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from relay.config.secrets import SecretsConfig
from relay.credentials.encryption_keys import key_stamps, read_keys
from relay.errors import SecretError, SettingsError
from relay.followed_value import FollowedValue

# version (1) | id of the key (8) | nonce (12) | ciphertext and tag (16 and more)
_VERSION = b"\x01"
_ID_BYTES, _NONCE_BYTES, _TAG_BYTES = 8, 12, 16
_KEY_BYTES = 32
_REFERENCE_SUFFIX = b"reference"  # follows an owner's bytes, whose lengths say where they end
_KEY_HINT = "create one with `openssl rand -base64 32`"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CredentialOwner:
    """The organization that an API key was given for."""

    name: str
    url: str
    user: str

    @classmethod
    def of(cls, organization: Mapping[str, Any]) -> "CredentialOwner":
        """Return the owner named in a record of the organizations topic."""
        return cls(organization["name"], organization["url"], organization["user"])

    def associated_data(self) -> bytes:
        """Return bytes that differ for any two owners: each part follows its own length."""
        parts = (part.encode("utf-8", "surrogatepass") for part in (self.name, self.url, self.user))
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class Keyring:
    """The keys of `secrets.keys` or `secrets.key_file`. The first key encrypts, all decrypt.

    A key that is no longer among them goes on to decrypt in this process, so that a rotation in the wrong order stops nobody.
    """

    def __init__(
        self, keys: Sequence[bytes], current_keys: Callable[[], Sequence[bytes]] | None = None
    ) -> None:
        """Take at least one key, each of 32 bytes. `current_keys` returns the keys of now: another list once they may be others."""
        self._keys = keys
        self._current_keys = current_keys or (lambda: keys)
        self._ciphers = _ciphers_of(keys)
        self._former: dict[bytes, AESGCM] = {}

    @property
    def ids(self) -> list[str]:
        """Return the ids of the keys, in their order. An id reveals nothing of its key."""
        return [known.hex() for known in self._present()]

    def _present(self) -> Mapping[bytes, AESGCM]:
        """Return the keys that the settings have now, by their ids."""
        keys = self._current_keys()
        if keys is not self._keys:
            self._keys = keys
            self._former |= self._ciphers
            self._ciphers = _ciphers_of(keys)
            log.info(
                "The keys of the secrets were read again.", keys=[known.hex() for known in self._ciphers]
            )
        return self._ciphers

    def seal(self, secret: SecretStr, owner: CredentialOwner) -> bytes:
        """Encrypt an API key for this owner alone."""
        return self._seal(secret.get_secret_value(), owner.associated_data())

    def seal_reference(self, reference: str, owner: CredentialOwner) -> bytes:
        """Encrypt a reference for this owner alone. The result never decrypts as an API key, nor the other way round."""
        return self._seal(reference, owner.associated_data() + _REFERENCE_SUFFIX)

    def open(self, sealed: bytes, owner: CredentialOwner) -> SecretStr:
        """Decrypt an API key. Raises SecretError, also if it was encrypted for another owner."""
        remedy = how_to_set_again(owner)
        try:
            return SecretStr(self._open(sealed, owner.associated_data(), owner.name, remedy))
        except InvalidTag:
            raise SecretError(
                f"The stored API key of {owner.name} was not encrypted for {owner.url} and the "
                f"user {owner.user}, or it is corrupt. If URL and user are correct, {remedy}"
            ) from None

    def verify_reference(self, reference: str, sealed: bytes | None, owner: CredentialOwner) -> None:
        """Return only if this very reference was sealed for this owner. Raises SecretError otherwise."""
        remedy = how_to_set_again(owner, f"--api-key-ref {reference}")
        with contextlib.suppress(InvalidTag):
            associated_data = owner.associated_data() + _REFERENCE_SUFFIX
            if sealed is not None and self._open(sealed, associated_data, owner.name, remedy) == reference:
                return
        raise SecretError(
            f"The key reference {reference} of {owner.name} was not sealed by this relay for {owner.url} "
            f"and the user {owner.user}, so it is not used. If URL and user are correct, {remedy}"
        )

    def _seal(self, text: str, associated_data: bytes) -> bytes:
        name, cipher = next(iter(self._present().items()))
        head, nonce = _VERSION + name, secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + cipher.encrypt(nonce, text.encode(), head + associated_data)

    def _open(self, sealed: bytes, associated_data: bytes, name: str, remedy: str) -> str:
        """Decrypt. Raises InvalidTag if the text was encrypted for another owner, and SecretError."""
        head, rest = sealed[: 1 + _ID_BYTES], sealed[1 + _ID_BYTES :]
        if head[:1] != _VERSION or len(rest) < _NONCE_BYTES + _TAG_BYTES:
            raise SecretError(f"The stored API key of {name} is corrupt: {remedy}")
        cipher = self._present().get(head[1:]) or self._former.get(head[1:])
        if cipher is None:
            raise SecretError(
                f"The API key of {name} was encrypted with the key {head[1:].hex()}, which is not "
                f"in secrets.keys (it has {', '.join(self.ids)}): add that key again, or {remedy}"
            )
        return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + associated_data).decode()


def load_keyring(settings: SecretsConfig) -> Keyring | None:
    """Load the keyring, which follows its file. None if neither keys nor a key file is set.

    Raises SettingsError for keys that are invalid.
    """
    if settings.key_file is None and not settings.keys:
        return None
    if settings.key_file is not None and not settings.key_file.is_file():
        # A pipe gives its content once, and would be waited for a second time for ever.
        return Keyring(read_keys(settings))
    followed = FollowedValue(
        "Keys of the secrets", partial(key_stamps, settings), partial(read_keys, settings)
    )
    return Keyring(followed.current(), followed.current)


def require_keyring(settings: SecretsConfig) -> Keyring:
    """Load the keyring. Raises SettingsError, also if no key is set."""
    keyring = load_keyring(settings)
    if keyring is None:
        raise SettingsError(
            "No key for the encryption of API keys is set: write base64 of 32 random bytes "
            "to a file (`openssl rand -base64 32 > relay.key`) and set secrets.key_file "
            "(RELAY_SECRETS__KEY_FILE) to it, the same on every machine of the relay."
        )
    return keyring


def sealing_key_id(sealed: bytes) -> str:
    """Return the id of the key that encrypted this."""
    return sealed[1 : 1 + _ID_BYTES].hex()


def how_to_set_again(owner: CredentialOwner, option: str = "--api-key-file FILE") -> str:
    """Return the end of a sentence: the command that sets the API key of this owner again."""
    return f"set it again (jira-relay organizations modify {shlex.quote(owner.name)} {option})."


def _ciphers_of(keys: Sequence[bytes]) -> dict[bytes, AESGCM]:
    return {_key_id(key): AESGCM(key) for key in keys}


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"jira-audit-relay key id" + key).digest()[:_ID_BYTES]

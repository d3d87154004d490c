"""Signed statements: canonical JSON with an Ed25519 signature, one a line. Pure."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from management.completeness.verifier import canonical_text
from relay.errors import SettingsError

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement and its signature. `text` is what was signed, byte for byte."""

    text: bytes
    signature: bytes

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the text, as the next seal names it."""
        return sha256(self.text).hexdigest()

    def is_signed_by(self, key: str) -> bool:
        """Return whether the signature is that of a public key, in hexadecimal digits."""
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(self.signature, self.text)
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def line(self) -> bytes:
        """Return the line of an export."""
        return self.signature.hex().encode() + b" " + self.text + b"\n"


class SigningKey:
    """The private key of the seals. Its public key names it: 64 hexadecimal digits.

    A seal names its key, so the seals of before a rotation are verified with the key of then.
    """

    def __init__(self, seed: bytes, changed_seed: Callable[[], bytes | None] = lambda: None) -> None:
        """`seed`: the 32 bytes of the private key (RFC 8032). `changed_seed` returns it once it is another one; None: it is not."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._changed_seed = changed_seed

    @classmethod
    def from_text(cls, text: str) -> "SigningKey":
        """Return the key of the setting `proof.key`. Raises SettingsError."""
        return cls(parse_seed(text))

    @property
    def name(self) -> str:
        return _name_of(self._present())

    def sign(self, statement: Mapping[str, Any]) -> SignedStatement:
        """Return the statement with the name of this key, signed."""
        key = self._present()
        text = canonical_text({**statement, "key": _name_of(key)})
        return SignedStatement(text, key.sign(text))

    def _present(self) -> Ed25519PrivateKey:
        if (seed := self._changed_seed()) is not None:
            self._key = Ed25519PrivateKey.from_private_bytes(seed)
        return self._key


def parse_seed(text: str) -> bytes:
    """Return the 32 bytes of a private key that are written in base64. Raises SettingsError."""
    try:
        seed = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        seed = b""
    if len(seed) != _KEY_BYTES:
        raise SettingsError("proof.key is not base64 of 32 bytes: make a key with `openssl rand -base64 32`.")
    return seed


def _name_of(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

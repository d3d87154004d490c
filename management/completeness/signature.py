"""Signed statements: canonical JSON with an Ed25519 signature, one a line. Pure."""

import base64
import binascii
from collections.abc import Mapping
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
    """The private key of the seals. Its public key names it: 64 hexadecimal digits."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: the 32 bytes of the private key (RFC 8032)."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.name = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    @classmethod
    def from_text(cls, text: str) -> "SigningKey":
        """Return the key of the setting `proof.key`: base64 of 32 bytes. Raises SettingsError."""
        try:
            seed = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            seed = b""
        if len(seed) != _KEY_BYTES:
            raise SettingsError(
                "proof.key is not base64 of 32 bytes: make a key with `openssl rand -base64 32`."
            )
        return cls(seed)

    def sign(self, statement: Mapping[str, Any]) -> SignedStatement:
        """Return the statement with the name of this key, signed."""
        text = canonical_text({**statement, "key": self.name})
        return SignedStatement(text, self._key.sign(text))

"""Headers and signing keys of an HTTP receiver, from settings and files; a file may be replaced at any time."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consumer.destinations.http.config import HttpConfig
from consumer.destinations.request_headers import load_headers, read_lines
from relay.errors import RelayError

_OWN_HEADERS = frozenset({"webhook-id", "webhook-signature", "webhook-timestamp"})
_SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of such a secret, from Standard Webhooks
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64
"""Source: Standard Webhooks 1.0.0, "Signature scheme"."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets of one request. Equal values come from equal settings and files."""

    headers: Mapping[str, str]
    signing_keys: Sequence[bytes]

    def signature(self, webhook_id: str, timestamp: int, content: bytes) -> str:
        """Return the value of webhook-signature: one signature for each key. `timestamp` is in seconds since 1970 UTC.

        Source: Standard Webhooks 1.0.0, symmetric scheme v1.
        """
        signed = b".".join((webhook_id.encode(), str(timestamp).encode(), content))
        digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in self.signing_keys)
        return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def load_credentials(name: str, config: HttpConfig) -> Credentials:
    """Read the secrets of the destination `name`. Raises RelayError, which names the setting and shows no secret."""
    secrets = [
        (each.get_secret_value(), f"destinations.{name}.signing_secrets") for each in config.signing_secrets
    ]
    if config.signing_secrets_file is not None:
        setting = f"destinations.{name}.signing_secrets_file"
        secrets += [(line, setting) for line in read_lines(config.signing_secrets_file, setting)]
    return Credentials(
        load_headers(name, config, _OWN_HEADERS), tuple(_signing_key(*each) for each in secrets)
    )


def _signing_key(secret: str, setting: str) -> bytes:
    encoded = secret.removeprefix(_SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_SECRET_PREFIX) or not _MIN_SECRET_BYTES <= len(key) <= _MAX_SECRET_BYTES:
        raise RelayError(
            f"{setting} has a secret that is not {_SECRET_PREFIX} and base64 of {_MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES} bytes."
            " Copy the whole secret of the receiver."
        )
    return key

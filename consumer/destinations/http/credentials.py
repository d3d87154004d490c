"""Headers and signing keys of an HTTP receiver, from settings and files; a file may be replaced at any time."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from consumer.destinations.http.config import HttpConfig
from relay.errors import RelayError

# RFC 9110, 5.1 and 5.5: a token, and visible characters with single blanks between. Only ASCII goes the same way everywhere.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?")
_OWN_HEADERS = frozenset(
    {
        *("connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"),
        *("webhook-id", "webhook-signature", "webhook-timestamp"),
    }
)
"""Headers that belong to the relay or to the connection."""
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
    headers = {
        header: _checked_header(header, value.get_secret_value(), f"destinations.{name}.headers")
        for header, value in config.headers.items()
    }
    if config.headers_file is not None:
        headers |= _headers_of(config.headers_file, f"destinations.{name}.headers_file")
    secrets = [
        (each.get_secret_value(), f"destinations.{name}.signing_secrets") for each in config.signing_secrets
    ]
    if config.signing_secrets_file is not None:
        setting = f"destinations.{name}.signing_secrets_file"
        secrets += [(line, setting) for line in _lines(config.signing_secrets_file, setting)]
    return Credentials(headers, tuple(_signing_key(*each) for each in secrets))


def _headers_of(path: Path, setting: str) -> dict[str, str]:
    headers = {}
    for line in _lines(path, setting):
        header, colon, value = line.partition(":")
        if not colon:
            raise RelayError(f"{setting} has a line without a colon. Write each line as `Name: value`.")
        headers[header.strip()] = _checked_header(header.strip(), value.strip(), setting)
    return headers


def _checked_header(header: str, value: str, setting: str) -> str:
    if not _HEADER_NAME.fullmatch(header):
        raise RelayError(f"{setting} has an invalid HTTP header name. Correct it.")
    if header.lower() in _OWN_HEADERS:
        raise RelayError(f"{setting} has the header {header}, which the relay sets itself. Remove it.")
    if not _HEADER_VALUE.fullmatch(value):
        raise RelayError(
            f"{setting} has a value of {header} that is empty, not ASCII, or has a line break. Correct it."
        )
    return value


def _lines(path: Path, setting: str) -> list[str]:
    """Return the lines of a file, without empty ones."""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RelayError(f"{setting} cannot be read: {reason}. Check its path and permissions.") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


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

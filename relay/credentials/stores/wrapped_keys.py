"""The relay's own keys, wrapped by a key that stays in a key service: envelope encryption."""

import base64

from relay.credentials.stores.error import SecretStoreError

KEY_BYTES = 32


def decode_key(text: object) -> bytes:
    """Return the key in the answer of a service. Raises SecretStoreError."""
    try:
        key = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        key = b""
    return require_key(key)


def require_key(key: bytes) -> bytes:
    """Return a key that has the length of one. Raises SecretStoreError."""
    if len(key) != KEY_BYTES:
        raise SecretStoreError(f"it is no key of {KEY_BYTES} bytes. Wrap one with `jira-relay keyring wrap`.")
    return key


def no_key() -> SecretStoreError:
    """Return the error for an answer without a key."""
    return SecretStoreError("its answer has no key. Check that the service answers there.")

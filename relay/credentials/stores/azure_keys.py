"""Keys of Azure Key Vault that wrap the relay's keys."""

import base64
import binascii

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.azure_key_vault import KeyVault
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.reference import StoreReference, key_reference
from relay.credentials.stores.wrapped_keys import no_key, require_key

ALGORITHM = "RSA-OAEP-256"


class KeyVaultKeys:
    """Wraps and unwraps by an RSA key, whose private part never leaves the vault."""

    def __init__(self, config: SecretStoresConfig) -> None:
        self._vault = KeyVault(config)

    async def wrap(self, reference: StoreReference, key: bytes) -> str:
        """Return the reference of the wrapped key, with the version of the key that wrapped it. Raises SecretStoreError."""
        content = {"alg": ALGORITHM, "value": _encode(key)}
        answer = await self._vault.call(reference, "POST", "keys", action="wrapkey", json=content)
        kid, value = answer.body.get("kid"), answer.body.get("value")
        if not isinstance(kid, str) or not isinstance(value, str):
            raise no_key()
        version = kid.rstrip("/").rpartition("/")[2]
        return key_reference(
            reference, f"{reference.parts['vault']}/{reference.parts['name']}/{version}", value
        )

    async def unwrap(self, reference: StoreReference) -> bytes:
        """Return the key. Raises SecretStoreError."""
        if not reference.parts["version"]:
            raise SecretStoreError(
                "it names no version of the key. Copy the whole line of `jira-relay keyring wrap`."
            )
        content = {"alg": ALGORITHM, "value": reference.parts["wrapped"]}
        answer = await self._vault.call(reference, "POST", "keys", action="unwrapkey", json=content)
        try:
            key = _decode(str(answer.body["value"]))
        except (KeyError, binascii.Error, ValueError):
            raise no_key() from None
        return require_key(key)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

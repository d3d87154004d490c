"""Keys of Vault's engine transit that wrap the relay's keys."""

import base64
from typing import Any

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.reference import StoreReference, key_reference
from relay.credentials.stores.vault import Vault
from relay.credentials.stores.wrapped_keys import decode_key, no_key


class VaultTransit:
    """Encrypts and decrypts by a named key, which never leaves the server."""

    def __init__(self, config: SecretStoresConfig) -> None:
        self._vault = Vault(config)

    async def wrap(self, reference: StoreReference, key: bytes) -> str:
        """Return the reference of the wrapped key. Raises SecretStoreError."""
        data = await self._call(reference, "encrypt", {"plaintext": base64.b64encode(key).decode()})
        if not isinstance(data.get("ciphertext"), str):
            raise no_key()
        return key_reference(
            reference, f"{reference.parts['mount']}/{reference.parts['name']}", data["ciphertext"]
        )

    async def unwrap(self, reference: StoreReference) -> bytes:
        """Return the key. Raises SecretStoreError."""
        data = await self._call(reference, "decrypt", {"ciphertext": reference.parts["wrapped"]})
        return decode_key(data.get("plaintext"))

    async def _call(self, reference: StoreReference, action: str, content: dict[str, str]) -> dict[str, Any]:
        path = f"{reference.parts['mount']}/{action}/{reference.parts['name']}"
        answer = await self._vault.call("POST", path, f"update on {path}", json=content)
        data = answer.body.get("data")
        return data if isinstance(data, dict) else {}

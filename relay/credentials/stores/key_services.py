"""The key services that wrap and unwrap the relay's keys, by the kind of their references."""

from collections.abc import Mapping
from typing import Protocol

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.aws_kms import AwsKeys
from relay.credentials.stores.azure_keys import KeyVaultKeys
from relay.credentials.stores.google_kms import GoogleKeys
from relay.credentials.stores.reference import StoreReference
from relay.credentials.stores.vault_transit import VaultTransit


class KeyService(Protocol):
    """A service with keys that never leave it. A call makes one request, after a login; both raise SecretStoreError."""

    async def wrap(self, reference: StoreReference, key: bytes) -> str:
        """Return the reference of the wrapped key."""

    async def unwrap(self, reference: StoreReference) -> bytes:
        """Return the key of 32 bytes that the reference holds."""


def open_key_service(kind: str, config: SecretStoresConfig, environ: Mapping[str, str]) -> KeyService:
    """Return the service of references of this kind."""
    match kind:
        case "azure-key-vault-key":
            return KeyVaultKeys(config)
        case "vault-transit":
            return VaultTransit(config)
        case "aws-kms":
            return AwsKeys(config, environ)
        case _:
            return GoogleKeys(config, environ)

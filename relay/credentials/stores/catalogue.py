"""The reader of each kind of reference. A store's module, and its libraries, are loaded when a reference names it."""

import json
from collections.abc import Awaitable, Callable, Mapping

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.reference import StoreReference

Read = Callable[[StoreReference], Awaitable[str]]
"""Return the text of a secret. Raises SecretStoreError, whose text completes "The secret REFERENCE cannot be read: …"."""


def _open_key_vault(config: SecretStoresConfig, _: Mapping[str, str]) -> Read:
    from relay.credentials.stores.azure_key_vault import KeyVault  # noqa: PLC0415

    return KeyVault(config).read


def _open_vault(config: SecretStoresConfig, _: Mapping[str, str]) -> Read:
    from relay.credentials.stores.vault import Vault  # noqa: PLC0415

    return Vault(config).read


def _open_secrets_manager(config: SecretStoresConfig, environ: Mapping[str, str]) -> Read:
    from relay.credentials.stores.aws import Aws  # noqa: PLC0415

    return Aws(config, environ).read_secret


def _open_parameters(config: SecretStoresConfig, environ: Mapping[str, str]) -> Read:
    from relay.credentials.stores.aws import Aws  # noqa: PLC0415

    return Aws(config, environ).read_parameter


def _open_secret_manager(config: SecretStoresConfig, environ: Mapping[str, str]) -> Read:
    from relay.credentials.stores.google import SecretManager  # noqa: PLC0415

    return SecretManager(config, environ).read


READERS: Mapping[str, Callable[[SecretStoresConfig, Mapping[str, str]], Read]] = {
    "azure-key-vault": _open_key_vault,
    "vault": _open_vault,
    "aws-secrets-manager": _open_secrets_manager,
    "aws-ssm": _open_parameters,
    "google-secret-manager": _open_secret_manager,
}


class StoreReaders:
    """Reads any reference; each store is opened at its first use, and keeps its login."""

    def __init__(self, config: SecretStoresConfig, environ: Mapping[str, str]) -> None:
        """`environ`: the variables that the stores' own programs read, but for those of azure-identity."""
        self._config = config
        self._environ = environ
        self._opened: dict[str, Read] = {}

    async def read(self, reference: StoreReference) -> str:
        """Return the secret, or the field of it that the reference names. Raises SecretStoreError."""
        if reference.kind not in self._opened:
            self._opened[reference.kind] = READERS[reference.kind](self._config, self._environ)
        text = await self._opened[reference.kind](reference)
        value = (
            _field(text, reference.field) if reference.field else text.removesuffix("\n").removesuffix("\r")
        )
        if not value:
            raise SecretStoreError("it is empty. Write the value into the store.")
        return value


def _field(text: str, name: str) -> str:
    """Return a field of a secret that is a JSON object. Raises SecretStoreError, which shows nothing of the text."""
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise SecretStoreError(f"it is not a JSON object, so it has no field {name}. Leave out #{name}.")
    value = content.get(name)
    if not isinstance(value, str):
        raise SecretStoreError(f"it has no text in the field {name}. Check the name behind #.")
    return value

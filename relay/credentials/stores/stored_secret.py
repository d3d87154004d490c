"""A secret of the settings that a reference names."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, SecretStr

from relay.credentials.stores.cache import SecretStores


class StoredSecret(SecretStr):
    """A secret whose value is the last known one of a store at each call, though the settings are read once."""

    def __init__(self, stores: SecretStores, reference: str) -> None:
        super().__init__("")
        self.reference = reference
        self._stores = stores

    def get_secret_value(self) -> str:
        """Return the last known value. Raises SecretStoreError only if the secret was never read."""
        return self._stores.known(self.reference)

    async def reread(self) -> bool:
        """Ask the store anew, since the value was refused. Return whether it is another one now."""
        return await self._stores.reread(self.reference)

    def start_reread(self) -> None:
        """Ask the store anew beside the caller, whose next attempt uses the answer."""
        self._stores.known(self.reference, self._stores.timing.reread_seconds)

    def __len__(self) -> int:
        return len(self.get_secret_value())

    def _display(self) -> str:
        return "**********"


def stored_secrets_in(settings: Any) -> Iterator[StoredSecret]:
    """Yield each secret of a group of settings that a reference names."""
    match settings:
        case StoredSecret():
            yield settings
        case BaseModel():
            for _, value in settings:
                yield from stored_secrets_in(value)
        case dict():
            for value in settings.values():
                yield from stored_secrets_in(value)
        case tuple():
            for value in settings:
                yield from stored_secrets_in(value)

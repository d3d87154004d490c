"""The failure of a read from a store."""

from relay.errors import RelayError


class SecretStoreError(RelayError):
    """A store gave no secret. `transient`: another attempt within seconds may succeed."""

    def __init__(self, text: str, *, transient: bool = False) -> None:
        self.transient = transient
        super().__init__(text)

"""The credential of a cluster: an API key, or a user and a password, from settings or from files."""

import base64
import re
from dataclasses import dataclass

from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.secret_files import read_secret
from relay.errors import RelayError

_API_KEY = re.compile(r"[A-Za-z0-9+/=_-]+")


@dataclass(frozen=True, slots=True)
class Credential:
    """The value of the header Authorization, and the secrets that no text may show. `header` None: there is no login."""

    header: str | None
    secrets: tuple[str, ...] = ()


def load_credential(name: str, config: ElasticsearchConfig) -> Credential:
    """Read the credential of the destination `name`. Raises RelayError, which names the setting and shows no secret."""
    key = _stripped(read_secret(name, "api_key", config.api_key, config.api_key_file))
    password = _stripped(read_secret(name, "password", config.password, config.password_file))
    if key is not None and (config.username is not None or password is not None):
        raise RelayError(f"destinations.{name} has an api_key and a username or password. Keep one of them.")
    if key is not None:
        return _of_api_key(key, f"destinations.{name}.api_key")
    if config.username is None and password is None:
        return Credential(None)
    if config.username is None or password is None or ":" in config.username:
        raise RelayError(
            f"destinations.{name} needs both username and password, and the username may hold no colon. Correct them."
        )
    pair = base64.b64encode(f"{config.username}:{password}".encode()).decode()
    return Credential(f"Basic {pair}", (password, pair))


def _stripped(secret: str | None) -> str | None:
    return None if secret is None else secret.strip()


def _of_api_key(key: str, setting: str) -> Credential:
    encoded = base64.b64encode(key.encode()).decode() if ":" in key else key
    if not _API_KEY.fullmatch(encoded):
        raise RelayError(
            f"{setting} is not an API key. Copy the field `encoded` of the answer that created it, or write `id:key`."
        )
    return Credential(f"ApiKey {encoded}", (key, encoded, key.partition(":")[2]))

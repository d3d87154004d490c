"""The token of an HTTP Event Collector, from the settings or from a file that may be replaced at any time."""

import re

from consumer.destinations.secret_files import read_file, read_secret
from consumer.destinations.splunk.config import SplunkConfig
from relay.errors import RelayError

_TOKEN = re.compile(r"[!-~]+")
"""Visible ASCII: a blank or a line break would make another header of it. Splunk's own tokens are GUIDs."""


def load_token(name: str, config: SplunkConfig) -> str:
    """Return the token of the destination `name`. Raises RelayError, which names the setting and shows no secret."""
    if config.token_file is None:
        assert config.token is not None  # noqa: S101 - the settings have one of both
        return _checked(config.token.get_secret_value(), f"destinations.{name}.token")
    setting = f"destinations.{name}.token_file"
    return _checked(read_file(config.token_file, setting).strip(), setting)


def load_read_back_token(name: str, config: SplunkConfig) -> str:
    """Return the token for searches of the destination `name`. Raises as `load_token`."""
    setting = f"destinations.{name}.read_back_token"
    token = read_secret(name, "read_back_token", config.read_back_token, config.read_back_token_file)
    return _checked((token or "").strip().removeprefix("Bearer "), setting)


def _checked(token: str, setting: str) -> str:
    token = token.removeprefix("Splunk ")  # as the header has it
    if not _TOKEN.fullmatch(token):
        raise RelayError(
            f"{setting} is empty, or has a blank or a character beyond ASCII. Copy the value of the token alone."
        )
    return token

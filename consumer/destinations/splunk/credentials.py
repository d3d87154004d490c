"""The token of an HTTP Event Collector, from the settings or from a file that may be replaced at any time."""

import re
from pathlib import Path

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
    return _checked(_read(config.token_file, setting), setting)


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RelayError(f"{setting} cannot be read: {reason}. Check its path and permissions.") from None


def _checked(token: str, setting: str) -> str:
    token = token.removeprefix("Splunk ")  # as the header has it
    if not _TOKEN.fullmatch(token):
        raise RelayError(
            f"{setting} is empty, or has a blank or a character beyond ASCII. Copy the value of the token alone."
        )
    return token

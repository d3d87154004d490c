"""The headers of requests that settings and a file name: for kinds whose credential is a header of any name."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import Field, SecretStr

from consumer.destinations.secret_files import read_file
from relay.config.base import ConfigModel, ExpandedPath
from relay.errors import RelayError

# RFC 9110, 5.1 and 5.5: a token, and visible characters with single blanks between. Only ASCII goes the same way everywhere.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?")
_CONNECTION = frozenset(
    {
        *("connection", "content-encoding", "content-length", "content-type", "host"),
        "transfer-encoding",
    }
)
"""Headers that belong to the relay or to the connection."""


class HeaderSettings(ConfigModel):
    """Headers of each request; a kind inherits them."""

    headers: dict[str, SecretStr] = Field(
        default={},
        description="Headers of each request. All values count as secrets.",
        examples=[{"Authorization": "Bearer …"}],
    )
    headers_file: ExpandedPath | None = Field(
        default=None,
        description="File with further headers, one `Name: value` a line. It is read again after a 401 or 403.",
        examples=["/run/secrets/collector-headers"],
    )


def load_headers(name: str, config: HeaderSettings, own: frozenset[str] = frozenset()) -> dict[str, str]:
    """Read the headers of the destination `name`. `own`: in small letters, further ones that the kind sets itself.

    Raises RelayError, which names the setting and shows no secret.
    """
    refused = _CONNECTION | own
    headers = {
        header: _checked(header, value.get_secret_value(), f"destinations.{name}.headers", refused)
        for header, value in config.headers.items()
    }
    if config.headers_file is None:
        return headers
    setting = f"destinations.{name}.headers_file"
    for line in read_lines(config.headers_file, setting):
        header, colon, value = line.partition(":")
        if not colon:
            raise RelayError(f"{setting} has a line without a colon. Write each line as `Name: value`.")
        headers[header.strip()] = _checked(header.strip(), value.strip(), setting, refused)
    return headers


def header_secrets(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what no text may show: each value, and the token behind a word such as `Bearer`."""
    for value in headers.values():
        yield from (value, value.rpartition(" ")[2])


def read_lines(path: Path, setting: str) -> list[str]:
    """Return the lines of a file, without empty ones. Raises RelayError, which names the setting."""
    return [line.strip() for line in read_file(path, setting).splitlines() if line.strip()]


def _checked(header: str, value: str, setting: str, refused: frozenset[str]) -> str:
    if not _NAME.fullmatch(header):
        raise RelayError(f"{setting} has an invalid HTTP header name. Correct it.")
    if header.lower() in refused:
        raise RelayError(f"{setting} has the header {header}, which the relay sets itself. Remove it.")
    if not _VALUE.fullmatch(value):
        raise RelayError(
            f"{setting} has a value of {header} that is empty, not ASCII, or has a line break. Correct it."
        )
    return value

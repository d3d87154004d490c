"""Tokens of scripts: a file of hashes, each with a name, a role and an expiry, that is read again when it changes."""

import hashlib
import os
import secrets
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import structlog

from console.permissions import AccessRole
from relay.errors import RelayError, SettingsError
from relay.timestamps import DAY_MS

TOKEN_PREFIX = "jra_"  # noqa: S105 - scanners of repositories find tokens by it
MAX_NAME_CHARS = 60
MAX_FILE_BYTES = 256 * 1024

log = structlog.get_logger(__name__)


class ApiTokenError(RelayError):
    """The token was known, but is of no use now, or no token can be known now."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token of a script. `expires`: the last day on which it is accepted, in UTC. `hash`: SHA-256 of the token, in hex."""

    name: str
    role: AccessRole
    expires: date
    hash: str

    def to_toml(self) -> str:
        """Return the table of the file."""
        return f'[{self.name}]\nrole = "{self.role}"\nexpires = {self.expires.isoformat()}\nsha256 = "{self.hash}"\n'


def make_token(name: str, role: AccessRole, now_ms: int, days: int) -> tuple[str, ApiToken]:
    """Return a new token, and the entry of the file that accepts it for `days` days."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return token, ApiToken(name, role, _day(now_ms + days * DAY_MS), hash_of(token))


def hash_of(token: str) -> str:
    """Return SHA-256 of a token, in hex. A slow hash is not needed: a token has 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_name(name: str) -> bool:
    """Return whether a token may have this name: letters, digits, hyphens and underscores."""
    return (
        0 < len(name) <= MAX_NAME_CHARS
        and name.isascii()
        and name.replace("-", "").replace("_", "").isalnum()
    )


def parse_tokens(text: str) -> dict[str, ApiToken]:
    """Return the tokens of a file, by hash. Raises SettingsError, whose sentence repeats no value."""
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError("It is not TOML.") from error
    tokens: dict[str, ApiToken] = {}
    for token in (_token(name, fields) for name, fields in tables.items()):
        if token.hash in tokens:
            raise SettingsError(
                f"[{tokens[token.hash].name}] and [{token.name}] have one sha256. Delete one of them: a token has one role and one end."
            )
        tokens[token.hash] = token
    return tokens


def _token(name: str, fields: Any) -> ApiToken:
    if not is_name(name) or not isinstance(fields, Mapping) or set(fields) != {"role", "expires", "sha256"}:
        raise SettingsError(
            f"The table [{name[:MAX_NAME_CHARS]}] must have a name of letters, digits, - and _, and the fields role, expires and sha256."
        )
    role, expires, found = fields["role"], fields["expires"], fields["sha256"]
    if role not in [str(each) for each in AccessRole]:
        raise SettingsError(f"The role of [{name}] must be viewer or operator.")
    if not isinstance(expires, date) or isinstance(expires, datetime):
        raise SettingsError(f"expires of [{name}] must be a day, such as 2027-01-31.")
    if not isinstance(found, str) or len(found) != 64 or not set(found) <= set("0123456789abcdef"):
        raise SettingsError(
            f"sha256 of [{name}] must be 64 digits in hex: `jira-relay api-token` writes them."
        )
    return ApiToken(name, AccessRole.of(role), expires, found)


class ApiTokens:
    """The tokens of a file. A file that cannot be read, or is wrong, accepts no token: one that was deleted must not come back."""

    def __init__(self, file: Path) -> None:
        """Raises SettingsError if the file cannot be read, or is wrong."""
        self._file = file
        self._version: tuple[int, ...] | None = None
        self._tokens: dict[str, ApiToken] = {}
        self._problem: str | None = None
        self._read()
        if self._problem is not None:
            raise SettingsError(self._problem)

    def find(self, token: str, now_ms: int) -> ApiToken | None:
        """Return the entry of a token. None: there is none. Raises ApiTokenError if it has expired, or the file cannot be read."""
        self._read()
        if self._problem is not None:
            raise ApiTokenError(self._problem)
        found = self._tokens.get(hash_of(token))
        if found is not None and _day(now_ms) > found.expires:
            raise ApiTokenError(
                f"The token {found.name} expired on {found.expires.isoformat()}. Make another with `jira-relay api-token`."
            )
        return found

    def _read(self) -> None:
        """Read the file if it has changed since."""
        try:
            seen = self._file.stat()
            version = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
            if version == self._version:
                return
            self._tokens = parse_tokens(_text_of(self._file))
        except (OSError, SettingsError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._version, self._tokens = None, {}
            problem = f"The file {self._file} of console.api_tokens cannot be used, so no API token is accepted. {reason}"
            if problem != self._problem:
                log.error("The file of API tokens cannot be used.", file=str(self._file), reason=str(reason))
            self._problem = problem
            return
        self._version, self._problem = version, None


def add_to_file(file: Path, token: ApiToken) -> None:
    """Add an entry to the file, which is made if it is missing. Raises SettingsError if the name is taken, or the file is wrong."""
    try:
        text = _text_of(file) if file.exists() else ""
        if any(each.name == token.name for each in parse_tokens(text).values()):
            raise SettingsError(
                f"{file} has a token {token.name} already. Give the new one another name, and delete the old table when no script"
                " uses it."
            )
        joined = f"{text.rstrip()}\n\n{token.to_toml()}".lstrip()
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        temporary.write_text(joined, "utf-8")
        if file.exists():
            temporary.chmod(stat.S_IMODE(file.stat().st_mode))
        temporary.replace(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"The file {file} of console.api_tokens cannot be changed: {reason}.") from error


def _text_of(file: Path) -> str:
    with file.open("rb") as opened:
        found = opened.read(MAX_FILE_BYTES + 1)
    if len(found) > MAX_FILE_BYTES:
        raise SettingsError(f"It has more than {MAX_FILE_BYTES} bytes.")
    return found.decode()


def _day(ms: int) -> date:
    return datetime.fromtimestamp(ms / 1000, UTC).date()

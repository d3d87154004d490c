"""The token with which people sign in at the console: that of the settings, that of the embedded installation, or a new one."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import SecretStr

from console.auth import Access
from management.settings import Settings
from relay.config.console import MIN_TOKEN_CHARS
from relay.config.followed_secret import follow_secret
from relay.errors import SettingsError

TOKEN_FILE = "console-token"  # noqa: S105 - the name of a file
NO_SIGN_IN = (
    "The console has no token, and no terminal to show a link on. Set console.token_file"
    " (`openssl rand -base64 32 > FILE && chmod 600 FILE`)."
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConsoleToken:
    """The token of the login. `file`: where the console has written it; None: it is that of the settings, or of no use to others."""

    text: str
    file: Path | None = None
    signs_in: bool = True
    """False: it only makes the keys of sessions; people sign in at the identity provider."""
    setting: SecretStr | None = None
    """The setting that holds it, and another one once its file or its store has that. None: it never changes."""

    def access(self) -> Access:
        """Return who may use the console. A new token that is too short is not used."""
        if self.setting is None:
            return Access(self.text, has_token=self.signs_in)
        token, changed = follow_secret(self.setting, _parse_token, _log_other_token, _log_short_token)
        return Access(token, has_token=self.signs_in, changed_token=changed)


def _parse_token(text: str) -> str:
    if len(text) < MIN_TOKEN_CHARS:
        raise SettingsError(f"console.token has less than {MIN_TOKEN_CHARS} characters.")
    return text


def _log_other_token(_token: str) -> None:
    log.info("The console has another token. All sessions of the old one have ended.")


def _log_short_token(_error: SettingsError) -> None:
    log.warning(
        "The new console.token is too short; the old one is used. Make a longer one.",
        characters=MIN_TOKEN_CHARS,
    )


def find_token(settings: Settings, directory: Path | None, *, on_terminal: bool) -> ConsoleToken:
    """Return the token of the settings, else that of the embedded installation in `directory`, else a new one.

    `directory` None: Kafka is not embedded. Raises SettingsError if nobody could sign in with it.
    """
    if settings.console.token is not None:
        return ConsoleToken(settings.console.token.get_secret_value(), setting=settings.console.token)
    if settings.console.oidc_client_secret is not None:
        # All consoles have it, so they share sessions; it signs nobody in.
        return ConsoleToken(settings.console.oidc_client_secret.get_secret_value(), signs_in=False)
    if directory is not None:
        file = directory / TOKEN_FILE
        return ConsoleToken(_token_in(file), file)
    if not on_terminal:
        raise SettingsError(NO_SIGN_IN)
    return ConsoleToken(secrets.token_urlsafe(32))


def _token_in(file: Path) -> str:
    """Return the token in a file that only this user may read; make it if it is missing."""
    try:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            token = file.read_text("utf-8").strip()
            if not token:
                raise SettingsError(f"The file {file} is empty. Delete it, and start again.") from None
            return token
        token = secrets.token_urlsafe(32)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(token)
    except OSError as error:
        raise SettingsError(
            f"The token of the console cannot be kept in {file}: {error.strerror}. Make the directory writable, or set"
            " console.token_file."
        ) from error
    return token

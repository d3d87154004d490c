"""What an operator gives, in normal form.

What cannot be is an InputError, which repeats nothing that could be a secret in the wrong place.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from pydantic import SecretStr

from relay.credentials.resolver import is_reference
from relay.credentials.url_policy import UrlError, parse_origin
from relay.errors import RelayError

MAX_NAME_LENGTH = 249
MAX_INTERVAL_SECONDS = 86_400
MAX_BACKFILL_DAYS = 180
MAX_KEY_BYTES = 16_384
NEVER = "never"


class InputError(RelayError):
    """What was asked for cannot be, however things stand; nothing was done."""


@dataclass(frozen=True, slots=True)
class ApiKeyReference:
    """Where a key is found: env:RELAY_KEY_… or file:NAME."""

    text: str


ApiKey = SecretStr | ApiKeyReference


@dataclass(frozen=True, slots=True)
class OrganizationChange:
    """What an operator wants of an organization. None: nothing was said, so that what stands is kept."""

    url: str | None = None
    user: str | None = None
    key: ApiKey | None = None
    gateway: bool | None = None
    """Counts only where the connection is not tested."""
    interval_seconds: int | None = None
    """0: as set for the producer."""
    backfill_days: int | None = None
    """Days before the organization was added; 0: no history."""
    expires: int | None = None
    """When the key expires; 0: never, or not known."""
    state: str | None = None


def validate_name(name: str) -> str:
    if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable() or any(map(str.isspace, name)):
        raise InputError(
            f"The name of an organization has 1 to {MAX_NAME_LENGTH} characters, none of them a space or a control character."
        )
    return name


def validate_url(text: str) -> str:
    try:
        return parse_origin(text.strip()).url
    except UrlError as error:
        raise InputError(f"The URL cannot be used. {error}") from error


def validate_user(user: str) -> str:
    if not user or ":" in user or not user.isprintable() or user != user.strip():
        raise InputError("The user name cannot be used: give the e-mail address of the account, alone.")
    return user


def validate_reference(text: str) -> ApiKeyReference:
    if not is_reference(text):
        raise InputError(
            "A reference to an API key must be env:RELAY_KEY_… (capital letters, digits, underscores) or file:NAME, with a"
            " name that does not leave secrets.directory."
        )
    return ApiKeyReference(text)


def validate_key(content: bytes) -> SecretStr:
    """The key in a file or on standard input."""
    if len(content) > MAX_KEY_BYTES:
        raise InputError(f"What was given as the API key is larger than {MAX_KEY_BYTES} bytes: no key is.")
    try:
        key = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise InputError("What was given as the API key is not text.") from None
    if not key:
        raise InputError("What was given as the API key is empty: put the key there, alone.")
    if not key.isprintable():
        raise InputError("What was given as the API key must be the key alone, on one line.")
    return SecretStr(key)


def validate_interval(seconds: int) -> int:
    if not 0 <= seconds <= MAX_INTERVAL_SECONDS:
        raise InputError(
            f"The interval must be 1 to {MAX_INTERVAL_SECONDS} seconds, or 0 for that of the producer's settings."
        )
    return seconds


def validate_backfill(days: int) -> int:
    if not 0 <= days <= MAX_BACKFILL_DAYS:
        raise InputError(f"History can be had for 0 to {MAX_BACKFILL_DAYS} days.")
    return days


def validate_expiry(text: str) -> int:
    """The first moment of a day; 0 for `never`."""
    if text == NEVER:
        return 0
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"The day on which the key expires must be written as 2026-12-31, or be `{NEVER}`."
        ) from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000

"""An operator's input, checked and brought into normal form.

Each function raises InputError for invalid input. Its message does not repeat the input, which may be a secret in the wrong place.
"""

from dataclasses import dataclass
from datetime import date

from pydantic import SecretStr

from producer.sources.contract import InputRules
from relay.credentials.resolver import is_reference
from relay.credentials.stores.reference import describe_forms
from relay.errors import RelayError
from relay.timestamps import day_start
from relay.url_policy import UrlError

MAX_NAME_LENGTH = 249
MAX_INTERVAL_SECONDS = 86_400
MAX_KEY_BYTES = 16_384
NEVER = "never"


class InputError(RelayError):
    """The input is invalid whatever the state of the system; nothing was done."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class ApiKeyReference:
    """The place of an API key: env:RELAY_KEY_…, file:NAME, or a secret in a store."""

    text: str


ApiKey = SecretStr | ApiKeyReference


@dataclass(frozen=True, slots=True)
class OrganizationChange:
    """The requested values of an organization. None keeps the stored value."""

    url: str | None = None
    user: str | None = None
    key: ApiKey | None = None
    gateway: bool | None = None
    """Used only without a connection test, which finds the right value itself."""
    interval_seconds: int | None = None
    """0: the producer's setting."""
    backfill_days: int | None = None
    """Days before the organization was added; 0: no backfill."""
    expires: int | None = None
    """Expiry of the key in ms UTC; 0: never, or unknown."""
    state: str | None = None


def validate_name(name: str) -> str:
    if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable() or any(map(str.isspace, name)):
        raise InputError(
            f"The name of an organization must have 1 to {MAX_NAME_LENGTH} characters, without spaces and control characters."
        )
    return name


def validate_new_name(name: str) -> str:
    """Return the name of an organization that is to be added. An older one may have a name that is refused here.

    A slash, and a name of dots alone, mean something else in addresses of the API, in `ORGANIZATION/ID` and in the key
    `destination/NAME` of the history of changes.
    """
    validate_name(name)
    if "/" in name or name in {".", ".."}:
        raise InputError(
            f"The name {name[:80]} cannot be that of a new organization: it must have no slash, and be more than dots. Give another name."
        )
    return name


def validate_url(text: str, rules: InputRules) -> str:
    """Return the URL in the source's normal form."""
    try:
        return rules.parse_url(text.strip())
    except UrlError as error:
        raise InputError(f"The URL is not valid. {error}") from error


def validate_user(user: str, rules: InputRules) -> str:
    if not user.isprintable() or user != user.strip() or not rules.is_user(user):
        raise InputError(f"The user is not valid; {rules.user_advice}.")
    return user


def validate_reference(text: str) -> ApiKeyReference:
    if not is_reference(text):
        raise InputError(
            "A reference to an API key must be env:RELAY_KEY_… (capital letters, digits, underscores), file:NAME, where NAME is"
            f" a path inside secrets.directory, or that of a secret store: {', '.join(describe_forms())}."
        )
    return ApiKeyReference(text)


def validate_key(content: bytes) -> SecretStr:
    """Return the key in the content of a file or of standard input, without the white space around it."""
    if len(content) > MAX_KEY_BYTES:
        raise InputError(
            f"The API key is larger than {MAX_KEY_BYTES} bytes; give a file that holds the key alone."
        )
    try:
        key = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise InputError("The API key is not text; give a file that holds the key alone.") from None
    if not key:
        raise InputError("The API key is empty; give a file that holds the key alone.")
    if not key.isprintable():
        raise InputError(
            "The API key must be on one line, without control characters; give a file that holds the key alone."
        )
    return SecretStr(key)


def validate_interval(seconds: int) -> int:
    if not 0 <= seconds <= MAX_INTERVAL_SECONDS:
        raise InputError(
            f"The interval must be 1 to {MAX_INTERVAL_SECONDS} seconds, or 0 for producer.interval_seconds."
        )
    return seconds


def validate_backfill(days: int, rules: InputRules) -> int:
    if not 0 <= days <= rules.max_backfill_days:
        raise InputError(f"The backfill must be 0 to {rules.max_backfill_days} days.")
    return days


def validate_expiry(text: str) -> int:
    """Return the start of a day, in ms UTC; 0 for `never`."""
    if text == NEVER:
        return 0
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"The day on which the key expires must have the form 2026-12-31, or be `{NEVER}`."
        ) from None
    return day_start(day.isoformat())

"""A requested change of one organization, as fields of a form or of a JSON document: checked, and brought into normal form."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from management.organizations.validation import (
    ApiKey,
    InputError,
    OrganizationChange,
    validate_backfill,
    validate_expiry,
    validate_interval,
    validate_key,
    validate_reference,
    validate_url,
    validate_user,
)
from producer.sources.contract import InputRules
from relay.url_policy import UrlError, split_url

FIELDS = (
    "url",
    "user",
    "api_key",
    "api_key_ref",
    "gateway",
    "interval_seconds",
    "backfill_days",
    "key_expires",
)
"""The names of the fields, as `organizations apply` has them; `api_key` is the key itself."""


def read_change(fields: Mapping[str, Any], rules: InputRules) -> OrganizationChange:
    """Return the change that the fields request. A field that is missing or None keeps the stored value.

    Raises InputError, whose message never repeats a value: it may be a key in the wrong place.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for name in given:
        if name not in FIELDS:
            raise InputError(
                f"{name[:80]!r} is not a field of an organization; they are {', '.join(FIELDS)}."
            )
    change = OrganizationChange(
        url=validate_url(_site_address(_text(given, "url")), rules) if "url" in given else None,
        user=validate_user(_text(given, "user").strip(), rules) if "user" in given else None,
        gateway=_flag(given, "gateway"),
        interval_seconds=_checked(validate_interval, _number(given, "interval_seconds")),
        backfill_days=_checked(lambda days: validate_backfill(days, rules), _number(given, "backfill_days")),
        expires=validate_expiry(_text(given, "key_expires").strip()) if "key_expires" in given else None,
    )
    return replace(change, key=_key(given))


def _site_address(text: str) -> str:
    """Return the address of a site for an address that a browser shows in it: without path, query and fragment."""
    address = text.strip()
    if address and "://" not in address:
        address = f"https://{address}"
    try:
        return split_url(address)[0].url
    except UrlError:
        return text


def _checked(check: Any, value: int | None) -> int | None:
    return None if value is None else check(value)


def _key(given: Mapping[str, Any]) -> ApiKey | None:
    if "api_key" in given and "api_key_ref" in given:
        raise InputError("An API key and a reference to one are both given; keep one of them.")
    if "api_key_ref" in given:
        return validate_reference(_text(given, "api_key_ref").strip())
    if "api_key" not in given:
        return None
    key: SecretStr = validate_key(_text(given, "api_key").encode(errors="surrogatepass"))
    return key


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given[name]
    if not isinstance(value, str):
        raise InputError(f"{name} must be a text.")
    return value


def _flag(given: Mapping[str, Any], name: str) -> bool | None:
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{name} must be true or false.")
    return value


def _number(given: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number, which a form gives as text."""
    value = given.get(name)
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 12:
        return int(value)
    if value is not None and type(value) is not int:
        raise InputError(f"{name} must be a whole number.")
    return value

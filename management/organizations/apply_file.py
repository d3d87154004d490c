"""A file of organizations: parsing it, and adding or modifying until the stored organizations match it."""

import difflib
import json
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from pydantic import SecretStr

from management.context import OperatorContext
from management.organizations.changes import with_changes
from management.organizations.commands import add, modify
from management.organizations.credentials import has_key
from management.organizations.results import ChangeFailure, ChangeResult
from management.organizations.store import read_organizations
from management.organizations.validation import (
    ApiKey,
    InputError,
    OrganizationChange,
    validate_backfill,
    validate_expiry,
    validate_interval,
    validate_name,
    validate_reference,
    validate_url,
    validate_user,
)
from relay.credentials.url_policy import organization_name
from relay.errors import RelayError

KeyFileReader = Callable[[str], SecretStr]
"""Reads the API key in a file. Raises InputError."""

_STATES = ("active", "paused")


@dataclass(frozen=True, slots=True)
class OrganizationEntry:
    """One organization of the file."""

    name: str
    change: OrganizationChange


def read_entries(text: str, source: str, read_key: KeyFileReader) -> list[OrganizationEntry]:
    """Parse a TOML or JSON document. `source` is its name in messages.

    A member that an entry leaves out takes the value of a new organization; only key and state are kept. Raises InputError
    with a line for each fault.
    """
    entries: list[OrganizationEntry] = []
    faults: list[str] = []
    for number, table in enumerate(_organization_tables(_parse_document(text, source), source), 1):
        try:
            entries.append(_parse_entry(table, read_key))
        except InputError as error:
            faults.append(f"{source}, organization {number}: {error}")
    names = [entry.name for entry in entries]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    faults += [
        f"{source}: the name {name} is used more than once; each needs a name of its own."
        for name in duplicates
    ]
    if faults:
        raise InputError("\n".join(faults))
    return entries


async def apply_entries(
    context: OperatorContext, entries: Sequence[OrganizationEntry], *, test: bool = True
) -> AsyncIterator[ChangeResult | ChangeFailure]:
    """Add and modify organizations until they match the entries.

    A failure does not stop the others. Organizations without an entry are not changed. Raises RelayError when the organizations
    cannot be read.
    """
    current = await read_organizations(context.connection)
    for entry in entries:
        before, change = current.get(entry.name), entry.change
        if before is not None and change.key is not None and has_key(context, before, change.key):
            # The key is the stored one. Leave it out, so that an unchanged file changes nothing; but for another URL or user
            # it must be sealed again.
            identity_changed = (change.url, change.user) != (before.url, before.user)
            change = change if identity_changed else replace(change, key=None)
        if before is not None and change.key is None and with_changes(before, change) == before:
            yield ChangeResult(entry.name, "unchanged")
            continue
        try:
            if before is None:
                yield await add(context, change, entry.name, test=test)
            else:
                yield await modify(context, entry.name, change, test=test)
        except RelayError as error:
            yield ChangeFailure(entry.name, str(error))


def _parse_document(text: str, source: str) -> Any:
    head = "".join(text.split())[:2]
    if head[:1] == "{" or head in {"[{", "[]"}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source} is not valid JSON: {error}.") from None
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{source} is not valid TOML: {error}.") from None


def _organization_tables(document: Any, source: str) -> list[Any]:
    if isinstance(document, dict) and set(document) <= {"organizations"}:
        document = document.get("organizations", [])
    if not isinstance(document, list):
        raise InputError(
            f"{source} must hold organizations alone: in TOML a table [[organizations]] for each, in JSON a list of objects."
        )
    if not document:
        raise InputError(f"{source} names no organization; add at least one.")
    return document


def _parse_entry(table: Any, read_key: KeyFileReader) -> OrganizationEntry:
    if not isinstance(table, dict):
        raise InputError("The entry must be a table with url and user.")
    for name in table:
        if name not in _MEMBERS:
            raise InputError(_unknown_member_message(name))
    for name, expected_type in _MEMBERS.items():
        if name in table and not _has_type(table[name], expected_type):
            raise InputError(f"{name} must be {_TYPE_NAMES[expected_type]}.")
    if missing := [name for name in ("url", "user") if name not in table]:
        raise InputError(f"{missing[0]} is missing.")
    url = validate_url(table["url"])
    name = validate_name(table["name"] if "name" in table else organization_name(url))
    try:
        return OrganizationEntry(name, _parse_change(table, url, read_key))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _parse_change(table: Mapping[str, Any], url: str, read_key: KeyFileReader) -> OrganizationChange:
    state = table.get("state")
    if state is not None and state not in _STATES:
        raise InputError("state must be active or paused.")
    return OrganizationChange(
        url=url,
        user=validate_user(table["user"]),
        key=_parse_key(table, read_key),
        gateway=table.get("gateway"),
        interval_seconds=validate_interval(table.get("interval_seconds", 0)),
        backfill_days=validate_backfill(table.get("backfill_days", 0)),
        expires=validate_expiry(str(table.get("key_expires", "never"))),
        state=state,
    )


def _parse_key(table: Mapping[str, Any], read_key: KeyFileReader) -> ApiKey | None:
    if "api_key_file" in table and "api_key_ref" in table:
        raise InputError("api_key_file and api_key_ref are both given; keep one of them.")
    if "api_key_ref" in table:
        return validate_reference(table["api_key_ref"])
    return read_key(table["api_key_file"]) if "api_key_file" in table else None


_TYPE_NAMES: dict[Any, str] = {str: "a text", int: "a whole number", bool: "true or false", date: "a day"}
_MEMBERS: dict[str, Any] = {
    "name": str,
    "url": str,
    "user": str,
    "api_key_file": str,
    "api_key_ref": str,
    "gateway": bool,
    "interval_seconds": int,
    "backfill_days": int,
    "key_expires": date,
    "state": str,
}


def _has_type(value: Any, expected_type: Any) -> bool:
    """Return whether the value has the type. JSON has no dates, so a text passes as a date here and is parsed later."""
    if expected_type is date:
        return isinstance(value, str) or (isinstance(value, date) and not isinstance(value, datetime))
    return type(value) is expected_type


def _unknown_member_message(name: str) -> str:
    nearest = difflib.get_close_matches(name, _MEMBERS, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the members are {', '.join(_MEMBERS)}."
    return f"{name[:80]!r} is not a member of an organization: {hint}"

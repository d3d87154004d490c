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
from management.organizations.commands import add, delete, modify
from management.organizations.put import without_stored_key
from management.organizations.results import ChangeFailure, ChangeResult
from management.organizations.store import UnknownOrganizationError, read_organizations
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
from producer.sources.contract import InputRules
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.organizations import Organization

KeyFileReader = Callable[[str], SecretStr]
"""Reads the API key in a file. Raises InputError."""

_STATES = ("active", "paused")
_RESET_FIELDS = {
    "interval_seconds": "interval_seconds",
    "backfill_days": "backfill_from",
    "key_expires": "credential_expires",
}
"""The members that take a default if an entry leaves them out, and the field of the organization that each sets."""


@dataclass(frozen=True, slots=True)
class OrganizationEntry:
    """One organization of the file. `omitted`: the members that it leaves out and that have a default."""

    name: str
    change: OrganizationChange
    omitted: tuple[str, ...] = ()


def read_entries(
    text: str, source: str, read_key: KeyFileReader, rules: InputRules
) -> list[OrganizationEntry]:
    """Parse a TOML or JSON document. `source` is its name in messages, `rules` those of the organizations' source.

    A member that an entry leaves out takes the value of a new organization; only key and state are kept. Raises InputError
    with a line for each fault.
    """
    entries: list[OrganizationEntry] = []
    faults: list[str] = []
    for number, table in enumerate(_organization_tables(_parse_document(text, source), source), 1):
        try:
            entries.append(_parse_entry(table, read_key, rules))
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


async def find_unlisted(connection: Connection, entries: Sequence[OrganizationEntry]) -> list[str]:
    """Return the names of the stored organizations without an entry, sorted. Raises RelayError."""
    return sorted(set(await read_organizations(connection)) - {entry.name for entry in entries})


async def apply_entries(
    context: OperatorContext,
    entries: Sequence[OrganizationEntry],
    unlisted: Sequence[str] = (),
    *,
    test: bool = True,
    dry_run: bool = False,
) -> AsyncIterator[ChangeResult | ChangeFailure]:
    """Add and modify organizations until they match the entries, and delete those of `unlisted`.

    `dry_run`: only report it; no connection is tested. A failure does not stop the other entries, and nothing is deleted then:
    an organization whose new name was refused would be lost. Raises RelayError when the organizations cannot be read.
    """
    failures = 0
    async for result in _apply_each(context, entries, test=test, dry_run=dry_run):
        failures += isinstance(result, ChangeFailure)
        yield result
    for name in unlisted:
        if failures:
            yield ChangeFailure(name, "It was to be deleted, and is kept, because another change failed.")
        else:
            yield await _delete_unlisted(context, name, dry_run=dry_run)


async def _delete_unlisted(
    context: OperatorContext, name: str, *, dry_run: bool
) -> ChangeResult | ChangeFailure:
    if dry_run:
        return ChangeResult(name, "would be deleted", ("The file does not name it.",))
    try:
        return await delete(context.connection, name, author=context.author, now_ms=context.now_ms())
    except UnknownOrganizationError:  # somebody else has deleted it
        return ChangeResult(name, "unchanged")
    except RelayError as error:
        return ChangeFailure(name, str(error))


async def _apply_each(
    context: OperatorContext, entries: Sequence[OrganizationEntry], *, test: bool, dry_run: bool
) -> AsyncIterator[ChangeResult | ChangeFailure]:
    current = await read_organizations(context.connection)
    for entry in entries:
        before, change = current.get(entry.name), entry.change
        if before is not None:
            change = without_stored_key(context, before, change)
        if before is not None and change.key is None and with_changes(before, change) == before:
            yield ChangeResult(entry.name, "unchanged")
            continue
        try:
            if before is None:
                yield await add(context, change, entry.name, test=test, dry_run=dry_run)
            else:
                result = await modify(context, entry.name, change, test=test, dry_run=dry_run)
                yield replace(
                    result, remarks=(*result.remarks, *_reset_remarks(before, entry, dry_run=dry_run))
                )
        except RelayError as error:
            yield ChangeFailure(entry.name, str(error))


def _reset_remarks(before: Organization, entry: OrganizationEntry, *, dry_run: bool) -> tuple[str, ...]:
    """Return a sentence with the members that the file leaves out, if their value is not the default."""
    after = with_changes(before, entry.change)
    reset = [
        member
        for member in entry.omitted
        if getattr(before, _RESET_FIELDS[member]) != getattr(after, _RESET_FIELDS[member])
    ]
    if not reset:
        return ()
    verb = "Would be reset" if dry_run else "Reset"
    remark = f"{verb} to the default, because the file leaves it out: {', '.join(reset)}. Write it into the file to keep a value."
    return (remark,)


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


def _parse_entry(table: Any, read_key: KeyFileReader, rules: InputRules) -> OrganizationEntry:
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
    url = validate_url(table["url"], rules)
    name = validate_name(table["name"] if "name" in table else rules.default_name(url))
    try:
        omitted = tuple(member for member in _RESET_FIELDS if member not in table)
        return OrganizationEntry(name, _parse_change(table, url, read_key, rules), omitted)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _parse_change(
    table: Mapping[str, Any], url: str, read_key: KeyFileReader, rules: InputRules
) -> OrganizationChange:
    state = table.get("state")
    if state is not None and state not in _STATES:
        raise InputError("state must be active or paused.")
    return OrganizationChange(
        url=url,
        user=validate_user(table["user"], rules),
        key=_parse_key(table, read_key),
        gateway=table.get("gateway"),
        interval_seconds=validate_interval(table.get("interval_seconds", 0)),
        backfill_days=validate_backfill(table.get("backfill_days", 0), rules),
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

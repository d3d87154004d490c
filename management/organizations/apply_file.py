"""Organizations as a file says they should be."""

import difflib
import json
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from pydantic import SecretStr

from management.connection_test import Means
from management.organizations.commands import Done, add, modify, same_key, wished
from management.organizations.store import organizations
from management.organizations.validation import (
    InputError,
    Key,
    Wish,
    checked_backfill,
    checked_expiry,
    checked_interval,
    checked_name,
    checked_reference,
    checked_url,
    checked_user,
)
from relay.credentials.url_policy import organization_name
from relay.errors import RelayError

ReadKey = Callable[[str], SecretStr]
"""Reads the file of a key; raises InputError."""

_STATES = ("active", "paused")


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class Failed:
    """What was not done, and why."""

    name: str
    reason: str


def read_entries(text: str, where: str, read_key: ReadKey) -> list[Entry]:
    """The organizations of a TOML or JSON document.

    What an entry leaves out is as for a new organization; its key and state are kept. Raises InputError with a sentence for
    each fault.
    """
    entries: list[Entry] = []
    faults: list[str] = []
    for number, table in enumerate(_tables(_parsed(text, where), where), 1):
        try:
            entries.append(_entry(table, read_key))
        except InputError as error:
            faults.append(f"{where}, organization {number}: {error}")
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    faults += [f"{where}: {name} stands there more than once." for name in twice]
    if faults:
        raise InputError("\n".join(faults))
    return entries


async def apply(means: Means, entries: Sequence[Entry], *, test: bool = True) -> AsyncIterator[Done | Failed]:
    """Add and modify until all is as the entries say. One that fails holds up no other; others are left alone."""
    standing = await organizations(means.connection)
    for entry in entries:
        before, wish = standing.get(entry.name), entry.wish
        if before is not None and wish.key is not None and same_key(means, before, wish.key):
            moved = (wish.url, wish.user) != (before.url, before.user)
            wish = wish if moved else replace(wish, key=None)
        if before is not None and wish.key is None and wished(before, wish) == before:
            yield Done(entry.name, "unchanged")
            continue
        try:
            if before is None:
                yield await add(means, wish, entry.name, test=test)
            else:
                yield await modify(means, entry.name, wish, test=test)
        except RelayError as error:
            yield Failed(entry.name, str(error))


def _parsed(text: str, where: str) -> Any:
    head = "".join(text.split())[:2]
    if head[:1] == "{" or head in {"[{", "[]"}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not valid JSON: {error}.") from None
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{where} is not valid TOML: {error}.") from None


def _tables(document: Any, where: str) -> list[Any]:
    if isinstance(document, dict) and set(document) <= {"organizations"}:
        document = document.get("organizations", [])
    if not isinstance(document, list):
        raise InputError(
            f"{where} must hold organizations and nothing else: [[organizations]] and its members below, for each, or a JSON"
            " list of objects."
        )
    if not document:
        raise InputError(f"{where} names no organization.")
    return document


def _entry(table: Any, read_key: ReadKey) -> Entry:
    if not isinstance(table, dict):
        raise InputError("It must be a table with url and user.")
    for name in table:
        if name not in _MEMBERS:
            raise InputError(_unknown(name))
    for name, kind in _MEMBERS.items():
        if name in table and not _is(table[name], kind):
            raise InputError(f"{name} must be {_KINDS[kind]}.")
    if missing := [name for name in ("url", "user") if name not in table]:
        raise InputError(f"{missing[0]} is missing.")
    url = checked_url(table["url"])
    name = checked_name(table["name"] if "name" in table else organization_name(url))
    try:
        return Entry(name, _wish(table, url, read_key))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _wish(table: Mapping[str, Any], url: str, read_key: ReadKey) -> Wish:
    state = table.get("state")
    if state is not None and state not in _STATES:
        raise InputError("state must be active or paused.")
    return Wish(
        url=url,
        user=checked_user(table["user"]),
        key=_key(table, read_key),
        gateway=table.get("gateway"),
        interval_seconds=checked_interval(table.get("interval_seconds", 0)),
        backfill_days=checked_backfill(table.get("backfill_days", 0)),
        expires=checked_expiry(str(table.get("key_expires", "never"))),
        state=state,
    )


def _key(table: Mapping[str, Any], read_key: ReadKey) -> Key | None:
    if "api_key_file" in table and "api_key_ref" in table:
        raise InputError("api_key_file and api_key_ref are both given: keep one of them.")
    if "api_key_ref" in table:
        return checked_reference(table["api_key_ref"])
    return read_key(table["api_key_file"]) if "api_key_file" in table else None


_KINDS: dict[Any, str] = {str: "a text", int: "a whole number", bool: "true or false", date: "a day"}
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


def _is(value: Any, kind: Any) -> bool:
    """JSON has no days, so a text may be one; whether it is will be seen."""
    if kind is date:
        return isinstance(value, str) or (isinstance(value, date) and not isinstance(value, datetime))
    return type(value) is kind


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name, _MEMBERS, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(_MEMBERS)}."
    return f"{name[:80]!r} is no member of an organization: {hint}"

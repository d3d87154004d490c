"""The commands on organizations: add, modify, pause, resume, delete and test."""

import shlex
from collections.abc import Mapping
from dataclasses import replace

from pydantic import SecretStr

from management.connection_test import DuplicateOrganizationError, try_connection, verify_connection
from management.context import OperatorContext
from management.organizations.changes import describe_differences, in_source_time, with_changes
from management.organizations.credentials import carry_reference, has_reference, with_key
from management.organizations.editor import edit_organization, refuse_stale
from management.organizations.results import ChangeResult
from management.organizations.store import read_organizations, read_store, require_existing
from management.organizations.validation import InputError, OrganizationChange, validate_new_name
from producer.sources.clock_skew import ClockSkew
from relay.kafka.connection import Connection
from relay.organizations import Organization
from relay.url_policy import UrlError

_ACTION_BY_STATE = {"active": "resumed", "paused": "paused"}
_NOT_TESTED_REMARKS = ("The connection was not tested.",)


async def add(
    context: OperatorContext,
    change: OrganizationChange,
    name: str | None = None,
    *,
    test: bool = True,
    dry_run: bool = False,
) -> ChangeResult:
    """Add an organization. Without `name`, the source names it by its URL. `dry_run`: change and test nothing.

    Raises RelayError; then nothing was added.
    """
    now = context.now_ms()
    candidate, others, binding_remarks = await _new_organization(context, change, name, now)
    name = candidate.name
    if dry_run:
        return ChangeResult(name, "would be added", binding_remarks)
    candidate, remarks, skew = await _test_candidate(context, candidate, others, change, test=test)
    candidate = in_source_time(skew, candidate)

    def added(before: Organization | None) -> Organization:
        if before is not None:
            raise _name_taken_error(name, same_url=before.url == candidate.url)
        return candidate

    await edit_organization(
        context.connection,
        name,
        added,
        action="added",
        author=context.author,
        now_ms=now,
        timing=context.timing.edit,
    )
    return ChangeResult(name, "added", (*remarks, *binding_remarks))


async def _new_organization(
    context: OperatorContext, change: OrganizationChange, name: str | None, now_ms: int
) -> tuple[Organization, Mapping[str, Organization], tuple[str, ...]]:
    """Return the organization with its sealed key, the existing ones by name, and remarks about the key. Raises RelayError."""
    if change.url is None or change.user is None or change.key is None:
        raise InputError(
            "A new organization needs a URL, a user, and an API key or a reference to one (in a file: api_key_file or api_key_ref)."
        )
    initial = Organization(name or "", change.url, change.user, added=now_ms, modified=now_ms, revision=0)
    _require_allowed_host(context, initial)
    initial = replace(initial, name=validate_new_name(name or context.input_rules.default_name(change.url)))
    others = await read_organizations(context.connection)
    if initial.name in others:
        raise _name_taken_error(initial.name, same_url=others[initial.name].url == change.url)
    _refuse_duplicate_url(initial, others)
    candidate, remarks = with_key(context, with_changes(initial, change), change.key)
    return candidate, others, remarks


async def modify(
    context: OperatorContext,
    name: str,
    change: OrganizationChange,
    *,
    test: bool = True,
    dry_run: bool = False,
    etag: str | None = None,
) -> ChangeResult:
    """Change the fields that `change` names. `dry_run`: change and test nothing.

    `etag`: that of the organization which the operator has seen; None: any. Raises RelayError, such as StaleEditError;
    then nothing was changed.
    """
    others = await read_organizations(context.connection)
    before = require_existing(others.get(name), name)
    refuse_stale(name, before, etag)
    after, remarks, binding_remarks = await _modified(
        context, before, change, others, test=test and not dry_run
    )
    if after == before:
        return ChangeResult(name, "unchanged")
    differences = describe_differences(before, after)
    if dry_run:
        return ChangeResult(name, "would be modified", (*differences, *binding_remarks))
    await edit_organization(
        context.connection,
        name,
        lambda _: after,
        action="modified",
        author=context.author,
        now_ms=context.now_ms(),
        etag=before.etag,
        timing=context.timing.edit,
    )
    return ChangeResult(name, "modified", (*differences, *remarks, *binding_remarks))


async def _modified(
    context: OperatorContext,
    before: Organization,
    change: OrganizationChange,
    others: Mapping[str, Organization],
    *,
    test: bool,
) -> tuple[Organization, tuple[str, ...], tuple[str, ...]]:
    """Return the changed organization, the remarks of the test, and those of the key.

    1. A credential is sealed for one URL and user, so another URL or user needs the credential sealed again.
    2. The reference that is already bound is not sealed again: the same command twice changes nothing.
    3. Only a change that may break the connection is tested: another key, URL, user or gateway.
    """
    after = with_changes(before, change)
    identity_changed = (after.url, after.user) != (before.url, before.user)
    if identity_changed:
        _require_allowed_host(context, after)
        _refuse_duplicate_url(after, others)
    key = change.key or (carry_reference(context, before) if identity_changed else None)
    binding_remarks: tuple[str, ...] = ()
    if key is not None and (identity_changed or not has_reference(context, before, key)):
        after, binding_remarks = with_key(context, after, key)
    remarks: tuple[str, ...] = ()
    if key is not None or after.gateway != before.gateway:
        after, remarks, _ = await _test_candidate(context, after, others, change, test=test)
    return after, remarks, binding_remarks


async def set_state(
    connection: Connection, name: str, state: str, *, author: str, now_ms: int, etag: str | None = None
) -> ChangeResult:
    """Pause ("paused") or resume ("active") an organization. Its progress is kept. `etag` as for `modify`. Raises RelayError."""
    before = require_existing((await read_organizations(connection)).get(name), name)
    if before.state == state:
        return ChangeResult(name, "unchanged", (f"The organization is already {state}.",))

    def changed(current: Organization | None) -> Organization:
        return replace(require_existing(current, name), state=state)

    await edit_organization(
        connection,
        name,
        changed,
        action=_ACTION_BY_STATE[state],
        author=author,
        now_ms=now_ms,
        etag=etag,
    )
    return ChangeResult(name, _ACTION_BY_STATE[state])


async def delete(
    connection: Connection, name: str, *, author: str, now_ms: int, etag: str | None = None
) -> ChangeResult:
    """Delete an organization, readable or not, with its misplaced records. Its events and progress stay.

    `etag` as for `modify`. Raises RelayError.
    """
    stored = await read_store(connection)
    misplaced = stored.misplaced.get(name, ())
    if name not in stored.unreadable and not misplaced:
        require_existing(stored.organizations.get(name), name)
    await edit_organization(
        connection,
        name,
        lambda _: None,
        action="deleted",
        author=author,
        now_ms=now_ms,
        etag=etag,
        allow_unreadable=True,
        misplaced=misplaced,
    )
    remark = "Its events and progress are kept. Add it again under this name, and polling continues where it stopped."
    return ChangeResult(name, "deleted", (remark,))


async def test(context: OperatorContext, name: str) -> str:
    """Test the connection of an organization; return a sentence about it. Raises RelayError when it does not work."""
    others = await read_organizations(context.connection)
    return await verify_connection(context, require_existing(others.get(name), name), others)


async def _test_candidate(
    context: OperatorContext,
    candidate: Organization,
    others: Mapping[str, Organization],
    change: OrganizationChange,
    *,
    test: bool,
) -> tuple[Organization, tuple[str, ...], ClockSkew]:
    """Return the organization with the cloud id and gateway that the test found, remarks, and the clock skew of the site."""
    if not test:
        return candidate, _NOT_TESTED_REMARKS, ClockSkew()
    key = change.key if isinstance(change.key, SecretStr) else None
    result = await try_connection(context, candidate, others, key)
    tested = replace(candidate, cloud_id=result.cloud_id or candidate.cloud_id, gateway=result.gateway)
    return tested, (result.message,), result.skew


def _require_allowed_host(context: OperatorContext, organization: Organization) -> None:
    try:
        context.connection_test.check_url(organization)
    except UrlError as error:
        raise InputError(str(error)) from error


def _refuse_duplicate_url(organization: Organization, others: Mapping[str, Organization]) -> None:
    for other in others.values():
        if other.url == organization.url and other.name != organization.name:
            raise DuplicateOrganizationError(
                other.name,
                f"{other.url} is already polled as {other.name}, and a second organization would duplicate its records."
                f" Change {other.name} with `jira-relay organizations modify {shlex.quote(other.name)} …` instead.",
            )


def _name_taken_error(name: str, *, same_url: bool) -> DuplicateOrganizationError:
    """Return the refusal. Another name is not a remedy for a URL that is polled already."""
    modify_command = f"`jira-relay organizations modify {shlex.quote(name)} …`"
    if same_url:
        return DuplicateOrganizationError(
            name, f"The organization {name} already exists, with this URL. Change it with {modify_command}."
        )
    return DuplicateOrganizationError(
        name,
        f"The organization {name} already exists, with another URL. If this is the same site, change it with {modify_command};"
        " if it is another site, give that one another name (--name).",
    )

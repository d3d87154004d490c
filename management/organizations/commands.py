"""What an operator can do to organizations."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import SecretStr

from management.connection_test import OperatorContext, try_connection, verify_connection
from management.formatting import iso_seconds
from management.organizations.editor import edit_organization
from management.organizations.store import read_organizations, read_store, require_existing
from management.organizations.validation import (
    ApiKey,
    ApiKeyReference,
    InputError,
    OrganizationChange,
    validate_name,
)
from management.organizations.view import public_view
from producer.sources.clock_skew import ClockSkew
from relay.credentials.keyring import CredentialOwner, Keyring, load_keyring, require_keyring
from relay.credentials.url_policy import AllowedHosts, UrlError, organization_name
from relay.errors import RelayError, SecretError
from relay.kafka.connection import Connection
from relay.organizations import Organization
from relay.timestamps import DAY_MS

_ACTION_BY_STATE = {"active": "resumed", "paused": "paused"}
_TIMESTAMP_FIELDS = {"backfill_from", "credential_expires"}
_MAINTAINED_FIELDS = {"added", "modified", "revision"}


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """`what`: added, modified, resumed, paused, deleted or unchanged; `remarks`: sentences for the operator."""

    name: str
    what: str
    remarks: tuple[str, ...] = ()


async def add(
    context: OperatorContext, change: OrganizationChange, name: str | None = None, *, test: bool = True
) -> ChangeResult:
    """Follow one more organization. Raises RelayError; nothing has been added then."""
    if change.url is None or change.user is None or change.key is None:
        raise InputError(
            "A new organization needs its URL, a user name and an API key, or a reference to one."
        )
    _require_allowed_host(context.hosts, change.url)
    name = validate_name(name or organization_name(change.url))
    others = await read_organizations(context.connection)
    if name in others:
        raise _name_taken_error(name)
    now = context.now_ms()
    initial = Organization(name, change.url, change.user, added=now, modified=now, revision=0)
    _refuse_duplicate_url(initial, others)
    candidate, binding_remarks = _with_key(
        with_changes(initial, change), change.key, _keyring_for(context, change.key)
    )
    candidate, remarks, skew = (
        await _test_candidate(context, candidate, others, change)
        if test
        else (candidate, _NOT_TESTED_REMARKS, ClockSkew())
    )
    candidate = _in_jira_time(skew, candidate)

    def added(before: Organization | None) -> Organization:
        if before is not None:
            raise _name_taken_error(name)
        return candidate

    await edit_organization(context.connection, name, added, what="added", who=context.who, now_ms=now)
    return ChangeResult(name, "added", (*remarks, *binding_remarks))


_NOT_TESTED_REMARKS = ("The connection was not tested.",)
_NOT_BOUND_REMARKS = (
    "Its reference is not bound to this URL and user, as secrets.key_file is not set here: producers that have it refuse it.",
)


async def modify(
    context: OperatorContext, name: str, change: OrganizationChange, *, test: bool = True
) -> ChangeResult:
    """Change what `change` says of an organization, unless somebody else has changed it meanwhile.

    Raises RelayError; nothing has been changed then.
    """
    others = await read_organizations(context.connection)
    before = require_existing(others.get(name), name)
    after = with_changes(before, change)
    identity_changed = (after.url, after.user) != (before.url, before.user)
    if identity_changed:
        _require_allowed_host(context.hosts, after.url)
        _refuse_duplicate_url(after, others)
    key = change.key or (_carry_reference(context, before) if identity_changed else None)
    binding_remarks: tuple[str, ...] = ()
    if key is not None and (identity_changed or not _has_reference(context, before, key)):
        after, binding_remarks = _with_key(after, key, _keyring_for(context, key))
    remarks: tuple[str, ...] = ()
    if key is not None or after.gateway != before.gateway:
        after, remarks, _ = (
            await _test_candidate(context, after, others, change)
            if test
            else (after, _NOT_TESTED_REMARKS, ClockSkew())
        )
    if after == before:
        return ChangeResult(name, "unchanged")
    await edit_organization(
        context.connection,
        name,
        lambda _: after,
        what="modified",
        who=context.who,
        now_ms=context.now_ms(),
        revision=before.revision,
    )
    return ChangeResult(name, "modified", (*_describe_differences(before, after), *remarks, *binding_remarks))


async def set_state(connection: Connection, name: str, state: str, *, who: str, now_ms: int) -> ChangeResult:
    """Pause ("paused") or resume ("active") an organization; its place is kept."""
    before = require_existing((await read_organizations(connection)).get(name), name)
    if before.state == state:
        return ChangeResult(name, "unchanged", (f"It is {state} already.",))

    def changed(current: Organization | None) -> Organization:
        return replace(require_existing(current, name), state=state)

    await edit_organization(connection, name, changed, what=_ACTION_BY_STATE[state], who=who, now_ms=now_ms)
    return ChangeResult(name, _ACTION_BY_STATE[state])


async def delete(connection: Connection, name: str, *, who: str, now_ms: int) -> ChangeResult:
    """Stop following an organization, readable or not; its events and its progress stay."""
    stored = await read_store(connection)
    misplaced = stored.misplaced.get(name, ())
    if name not in stored.unreadable and not misplaced:
        require_existing(stored.organizations.get(name), name)
    await edit_organization(
        connection,
        name,
        lambda _: None,
        what="deleted",
        who=who,
        now_ms=now_ms,
        allow_unreadable=True,
        misplaced=misplaced,
    )
    remark = "Its events and its progress are kept: added again under this name, it goes on where it stood."
    return ChangeResult(name, "deleted", (remark,))


async def test(context: OperatorContext, name: str) -> str:
    """How the connection of an organization works. Raises RelayError where it does not."""
    others = await read_organizations(context.connection)
    return await verify_connection(context, require_existing(others.get(name), name), others)


def has_key(context: OperatorContext, organization: Organization, key: ApiKey) -> bool:
    """Whether an organization has this very key, as far as it can be opened here."""
    if isinstance(key, ApiKeyReference):
        return _has_reference(context, organization, key)
    if organization.credential_ciphertext is None or organization.credential_reference is not None:
        return False
    try:
        return context.credentials.resolve(asdict(organization)) == key
    except SecretError:
        return False


def with_changes(organization: Organization, change: OrganizationChange) -> Organization:
    """The organization with all that was said, its key apart."""
    values: dict[str, Any] = {
        "url": change.url,
        "user": change.user,
        "state": change.state,
        "gateway": change.gateway,
    }
    fields = {name: value for name, value in values.items() if value is not None}
    if change.interval_seconds is not None:
        fields["interval_seconds"] = change.interval_seconds or None
    if change.expires is not None:
        fields["credential_expires"] = change.expires or None
    if change.backfill_days is not None:
        days = change.backfill_days
        fields["backfill_from"] = organization.added - days * DAY_MS if days else None
    return replace(organization, **fields)


def _with_key(
    organization: Organization, key: ApiKey, keyring: Keyring | None
) -> tuple[Organization, tuple[str, ...]]:
    """And what is to be said of it."""
    owner = CredentialOwner.of(asdict(organization))
    if isinstance(key, ApiKeyReference):
        sealed = None if keyring is None else keyring.seal_reference(key.text, owner)
        updated = replace(organization, credential_reference=key.text, credential_ciphertext=sealed)
        return updated, _NOT_BOUND_REMARKS if keyring is None else ()
    if keyring is None:
        return organization, ()
    sealed = keyring.seal(key, owner)
    return replace(organization, credential_ciphertext=sealed, credential_reference=None), ()


def _carry_reference(context: OperatorContext, before: Organization) -> ApiKey:
    """A reference goes along with another URL or user when an operator says so; an encrypted key has to be given again."""
    if before.credential_reference is None:
        raise InputError(
            f"The API key of {before.name} was given for its URL and user: give it again with the new ones (--api-key-file FILE)."
        )
    context.credentials.verify_reference(asdict(before))
    return ApiKeyReference(before.credential_reference)


def _has_reference(context: OperatorContext, organization: Organization, key: ApiKey) -> bool:
    """And given for this URL and user, as far as that can be told here."""
    if not isinstance(key, ApiKeyReference) or organization.credential_reference != key.text:
        return False
    try:
        context.credentials.verify_reference(asdict(organization))
    except SecretError:
        return False
    return True


def _keyring_for(context: OperatorContext, key: ApiKey) -> Keyring | None:
    """What a key is encrypted with; a reference can do without. Raises SettingsError."""
    return require_keyring(context.secrets) if isinstance(key, SecretStr) else load_keyring(context.secrets)


async def _test_candidate(
    context: OperatorContext,
    candidate: Organization,
    others: Mapping[str, Organization],
    change: OrganizationChange,
) -> tuple[Organization, tuple[str, ...], ClockSkew]:
    """The organization as its connection turned out to be, and its site's clock."""
    key = change.key if isinstance(change.key, SecretStr) else None
    result = await try_connection(context, candidate, others, key)
    tested = replace(candidate, cloud_id=result.cloud_id or candidate.cloud_id, gateway=result.gateway)
    return tested, (result.message,), result.skew


def _in_jira_time(skew: ClockSkew, candidate: Organization) -> Organization:
    """What happens from `added` on is live, and before it history: that is for Jira's clock to say, as it stamps the records."""
    back = None if candidate.backfill_from is None else candidate.backfill_from - skew.ahead
    return replace(candidate, added=candidate.added - skew.ahead, backfill_from=back)


def _require_allowed_host(hosts: AllowedHosts, url: str) -> None:
    try:
        hosts.check(url)
    except UrlError as error:
        raise InputError(str(error)) from error


def _refuse_duplicate_url(organization: Organization, others: Mapping[str, Organization]) -> None:
    for other in others.values():
        if other.url == organization.url and other.name != organization.name:
            raise RelayError(
                f"{other.url} is followed already, as {other.name}: its records would come twice."
            )


def _name_taken_error(name: str) -> RelayError:
    return RelayError(
        f"There is an organization {name} already: change it with `jira-relay organizations modify {name}`,"
        " or give the new one another name (--name)."
    )


def _describe_differences(before: Organization, after: Organization) -> tuple[str, ...]:
    old, new = public_view(before), public_view(after)
    names = [name for name in new if name not in _MAINTAINED_FIELDS and old[name] != new[name]]
    lines = [f"{name}: {_format_value(name, old[name])} → {_format_value(name, new[name])}" for name in names]
    if "credential" not in names and before.credential_ciphertext != after.credential_ciphertext:
        lines.append(f"credential: {'bound anew' if after.credential_reference else 'a new one'}")
    return tuple(lines)


def _format_value(name: str, value: Any) -> str:
    return "none" if value is None else iso_seconds(value) if name in _TIMESTAMP_FIELDS else str(value)

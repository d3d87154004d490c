"""What an operator can do to organizations."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import SecretStr

from management.connection_test import Means, try_connection, verify
from management.formatting import instant
from management.organizations.editor import edit
from management.organizations.store import existing, organizations, standing
from management.organizations.validation import InputError, Key, Reference, Wish, checked_name
from management.organizations.view import shown
from producer.sources.clock_skew import ClockSkew
from relay.credentials.keyring import CredentialOwner, Keyring, load_keyring, require_keyring
from relay.credentials.url_policy import AllowedHosts, UrlError, organization_name
from relay.errors import RelayError, SecretError
from relay.kafka.connection import Connection
from relay.organizations import DAY_MS, Organization

_WORDS = {"active": "resumed", "paused": "paused"}
_INSTANTS = {"backfill_from", "credential_expires"}
_OF_ITSELF = {"added", "modified", "revision"}


@dataclass(frozen=True, slots=True)
class Done:
    """`what`: added, modified, resumed, paused, deleted or unchanged; `remarks`: sentences for the operator."""

    name: str
    what: str
    remarks: tuple[str, ...] = ()


async def add(means: Means, wish: Wish, name: str | None = None, *, test: bool = True) -> Done:
    """Follow one more organization. Raises RelayError; nothing has been added then."""
    if wish.url is None or wish.user is None or wish.key is None:
        raise InputError(
            "A new organization needs its URL, a user name and an API key, or a reference to one."
        )
    _check_host(means.hosts, wish.url)
    name = checked_name(name or organization_name(wish.url))
    others = await organizations(means.connection)
    if name in others:
        raise _taken(name)
    now = means.now_ms()
    blank = Organization(name, wish.url, wish.user, added=now, modified=now, revision=0)
    _refuse_url(blank, others)
    draft, unbound = _with_key(wished(blank, wish), wish.key, _keyring(means, wish.key))
    draft, remarks, clock = (
        await _tried(means, draft, others, wish) if test else (draft, _NOT_TESTED, ClockSkew())
    )
    draft = _by_clock(clock, draft)

    def added(before: Organization | None) -> Organization:
        if before is not None:
            raise _taken(name)
        return draft

    await edit(means.connection, name, added, what="added", who=means.who, now_ms=now)
    return Done(name, "added", (*remarks, *unbound))


_NOT_TESTED = ("The connection was not tested.",)
_NOT_BOUND = (
    "Its reference is not bound to this URL and user, as secrets.key_file is not set here: producers that have it refuse it.",
)


async def modify(means: Means, name: str, wish: Wish, *, test: bool = True) -> Done:
    """Change what `wish` says of an organization, unless somebody else has changed it meanwhile.

    Raises RelayError; nothing has been changed then.
    """
    others = await organizations(means.connection)
    before = existing(others.get(name), name)
    after = wished(before, wish)
    moved = (after.url, after.user) != (before.url, before.user)
    if moved:
        _check_host(means.hosts, after.url)
        _refuse_url(after, others)
    key = wish.key or (_key_that_moves(means, before) if moved else None)
    unbound: tuple[str, ...] = ()
    if key is not None and (moved or not _same_reference(means, before, key)):
        after, unbound = _with_key(after, key, _keyring(means, key))
    remarks: tuple[str, ...] = ()
    if key is not None or after.gateway != before.gateway:
        after, remarks, _ = (
            await _tried(means, after, others, wish) if test else (after, _NOT_TESTED, ClockSkew())
        )
    if after == before:
        return Done(name, "unchanged")
    await edit(
        means.connection,
        name,
        lambda _: after,
        what="modified",
        who=means.who,
        now_ms=means.now_ms(),
        revision=before.revision,
    )
    return Done(name, "modified", (*_differences(before, after), *remarks, *unbound))


async def set_state(connection: Connection, name: str, state: str, *, who: str, now_ms: int) -> Done:
    """Pause ("paused") or resume ("active") an organization; its place is kept."""
    before = existing((await organizations(connection)).get(name), name)
    if before.state == state:
        return Done(name, "unchanged", (f"It is {state} already.",))

    def changed(current: Organization | None) -> Organization:
        return replace(existing(current, name), state=state)

    await edit(connection, name, changed, what=_WORDS[state], who=who, now_ms=now_ms)
    return Done(name, _WORDS[state])


async def delete(connection: Connection, name: str, *, who: str, now_ms: int) -> Done:
    """Stop following an organization, readable or not; its events and its progress stay."""
    found = await standing(connection)
    strays = found.strays.get(name, ())
    if name not in found.unreadable and not strays:
        existing(found.organizations.get(name), name)
    await edit(
        connection, name, lambda _: None, what="deleted", who=who, now_ms=now_ms, blind=True, strays=strays
    )
    remark = "Its events and its progress are kept: added again under this name, it goes on where it stood."
    return Done(name, "deleted", (remark,))


async def test(means: Means, name: str) -> str:
    """How the connection of an organization works. Raises RelayError where it does not."""
    others = await organizations(means.connection)
    return await verify(means, existing(others.get(name), name), others)


def same_key(means: Means, organization: Organization, key: Key) -> bool:
    """Whether an organization has this very key, as far as it can be opened here."""
    if isinstance(key, Reference):
        return _same_reference(means, organization, key)
    if organization.credential_ciphertext is None or organization.credential_reference is not None:
        return False
    try:
        return means.credentials.resolve(asdict(organization)) == key
    except SecretError:
        return False


def wished(organization: Organization, wish: Wish) -> Organization:
    """The organization with all that was said, its key apart."""
    said: dict[str, Any] = {
        "url": wish.url,
        "user": wish.user,
        "state": wish.state,
        "gateway": wish.gateway,
    }
    fields = {name: value for name, value in said.items() if value is not None}
    if wish.interval_seconds is not None:
        fields["interval_seconds"] = wish.interval_seconds or None
    if wish.expires is not None:
        fields["credential_expires"] = wish.expires or None
    if wish.backfill_days is not None:
        days = wish.backfill_days
        fields["backfill_from"] = organization.added - days * DAY_MS if days else None
    return replace(organization, **fields)


def _with_key(
    organization: Organization, key: Key, keyring: Keyring | None
) -> tuple[Organization, tuple[str, ...]]:
    """And what is to be said of it."""
    owner = CredentialOwner.of(asdict(organization))
    if isinstance(key, Reference):
        sealed = None if keyring is None else keyring.seal_reference(key.text, owner)
        bound = replace(organization, credential_reference=key.text, credential_ciphertext=sealed)
        return bound, _NOT_BOUND if keyring is None else ()
    if keyring is None:
        return organization, ()
    sealed = keyring.seal(key, owner)
    return replace(organization, credential_ciphertext=sealed, credential_reference=None), ()


def _key_that_moves(means: Means, before: Organization) -> Key:
    """A reference goes along with another URL or user when an operator says so; an encrypted key has to be given again."""
    if before.credential_reference is None:
        raise InputError(
            f"The API key of {before.name} was given for its URL and user: give it again with the new ones (--api-key-file FILE)."
        )
    means.credentials.verify_reference(asdict(before))
    return Reference(before.credential_reference)


def _same_reference(means: Means, organization: Organization, key: Key) -> bool:
    """And given for this URL and user, as far as that can be told here."""
    if not isinstance(key, Reference) or organization.credential_reference != key.text:
        return False
    try:
        means.credentials.verify_reference(asdict(organization))
    except SecretError:
        return False
    return True


def _keyring(means: Means, key: Key) -> Keyring | None:
    """What a key is encrypted with; a reference can do without. Raises SettingsError."""
    return require_keyring(means.secrets) if isinstance(key, SecretStr) else load_keyring(means.secrets)


async def _tried(
    means: Means, draft: Organization, others: Mapping[str, Organization], wish: Wish
) -> tuple[Organization, tuple[str, ...], ClockSkew]:
    """The organization as its connection turned out to be, and its site's clock."""
    key = wish.key if isinstance(wish.key, SecretStr) else None
    trial = await try_connection(means, draft, others, key)
    tried = replace(draft, cloud_id=trial.cloud_id or draft.cloud_id, gateway=trial.gateway)
    return tried, (trial.message,), trial.clock


def _by_clock(clock: ClockSkew, draft: Organization) -> Organization:
    """What happens from `added` on is live, and before it history: that is for Jira's clock to say, as it stamps the records."""
    back = None if draft.backfill_from is None else draft.backfill_from - clock.ahead
    return replace(draft, added=draft.added - clock.ahead, backfill_from=back)


def _check_host(hosts: AllowedHosts, url: str) -> None:
    try:
        hosts.check(url)
    except UrlError as error:
        raise InputError(str(error)) from error


def _refuse_url(organization: Organization, others: Mapping[str, Organization]) -> None:
    for other in others.values():
        if other.url == organization.url and other.name != organization.name:
            raise RelayError(
                f"{other.url} is followed already, as {other.name}: its records would come twice."
            )


def _taken(name: str) -> RelayError:
    return RelayError(
        f"There is an organization {name} already: change it with `jira-relay organizations modify {name}`,"
        " or give the new one another name (--name)."
    )


def _differences(before: Organization, after: Organization) -> tuple[str, ...]:
    old, new = shown(before), shown(after)
    names = [name for name in new if name not in _OF_ITSELF and old[name] != new[name]]
    said = [f"{name}: {_value(name, old[name])} → {_value(name, new[name])}" for name in names]
    if "credential" not in names and before.credential_ciphertext != after.credential_ciphertext:
        said.append(f"credential: {'bound anew' if after.credential_reference else 'a new one'}")
    return tuple(said)


def _value(name: str, value: Any) -> str:
    return "none" if value is None else instant(value) if name in _INSTANTS else str(value)

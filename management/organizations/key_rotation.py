"""Rotation of the keys in `secrets`: which key seals each organization's credential, and sealing again with the first."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from management.context import OperatorContext
from management.organizations.changes import RESEALED
from management.organizations.credentials import with_new_seal
from management.organizations.editor import edit_organization
from management.organizations.results import ChangeFailure, ChangeResult
from management.organizations.store import read_store, require_existing
from relay.credentials.keyring import Keyring, require_keyring, sealing_key_id
from relay.errors import RelayError
from relay.organizations import Organization

MAX_NAMES = 5


def describe_key_usage(found: Mapping[str, Organization], key_ids: Sequence[str]) -> str:
    """Say which of these keys are still needed. `key_ids`: at least one, the sealing key first.

    Raises RelayError when a credential is not sealed, or is sealed with a key that is not among them.
    """
    sealed = {name: found[name].credential_ciphertext for name in sorted(found)}
    used = {name: sealing_key_id(what) for name, what in sealed.items() if what is not None}
    if unsealed := [name for name in sealed if name not in used]:
        raise RelayError(
            f"{_list_names(unsealed)}: not sealed, so processes with keys refuse the credential; give the key or the reference"
            " again (`jira-relay organizations modify`)."
        )
    if foreign := [name for name, key in used.items() if key not in key_ids]:
        raise RelayError(
            f"{_list_names(foreign)}: sealed with a key that is not set here (set: {', '.join(key_ids)}); put the missing key back"
            " into the list, or give the API keys again."
        )
    if older := [name for name, key in used.items() if key in key_ids[1:]]:
        return f"{_list_names(older)}: sealed with an older key; `jira-relay organizations reseal` seals with the first ({key_ids[0]})"
    # Before a rotation the spare key is the newer one, and after it the older: the seals do not tell which.
    spare = (
        f"; no seal needs {', '.join(key_ids[1:])}: take out a key that was replaced, and keep one that you just put in"
        if key_ids[1:]
        else ""
    )
    return f"all are sealed with the first key ({key_ids[0]}){spare}"


async def reseal(context: OperatorContext) -> AsyncIterator[ChangeResult | ChangeFailure]:
    """Seal every credential with the first key. A failure does not stop the others. Raises SettingsError when no key is set."""
    keyring = require_keyring(context.secrets)
    stored = await read_store(context.connection)
    for name, reason in sorted(stored.unreadable.items()):
        yield ChangeFailure(name, reason)
    for name, organization in sorted(stored.organizations.items()):
        try:
            yield await _reseal_one(context, keyring, organization)
        except RelayError as error:
            yield ChangeFailure(name, str(error))


async def _reseal_one(context: OperatorContext, keyring: Keyring, organization: Organization) -> ChangeResult:
    name = organization.name
    sealed = organization.credential_ciphertext
    if sealed is not None and sealing_key_id(sealed) == keyring.ids[0]:
        return ChangeResult(name, "unchanged")
    await edit_organization(
        context.connection,
        name,
        lambda before: with_new_seal(require_existing(before, name), keyring),
        action=RESEALED,
        author=context.author,
        now_ms=context.now_ms(),
        timing=context.timing.edit,
    )
    return ChangeResult(name, "resealed")


def _list_names(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - MAX_NAMES
    return ", ".join(listed[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")

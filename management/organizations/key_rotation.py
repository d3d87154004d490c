"""With which of the keys in `secrets` the organizations' own keys and references are sealed, and sealing them anew."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from management.connection_test import OperatorContext
from management.organizations.apply_file import ChangeFailure
from management.organizations.commands import ChangeResult
from management.organizations.editor import edit_organization
from management.organizations.store import read_store, require_existing
from relay.credentials.keyring import CredentialOwner, Keyring, require_keyring, sealing_key_id
from relay.errors import RelayError
from relay.organizations import Organization

MAX_NAMES = 5


def describe_key_usage(found: Mapping[str, Organization], key_ids: Sequence[str]) -> str:
    """Which of these keys (at least one) are needed still. Raises RelayError where one is needed that is not among them."""
    sealed = {name: found[name].credential_ciphertext for name in sorted(found)}
    used = {name: sealing_key_id(what) for name, what in sealed.items() if what is not None}
    if unsealed := [name for name in sealed if name not in used]:
        raise RelayError(
            f"{_list_names(unsealed)}: not sealed, hence refused where keys are set: give the key or the reference again"
            " (jira-relay organizations modify)."
        )
    if foreign := [name for name, key in used.items() if key not in key_ids]:
        raise RelayError(
            f"{_list_names(foreign)}: sealed with none of the keys that are set here ({', '.join(key_ids)}): put the missing one back into"
            " the list, or give the API keys again."
        )
    if older := [name for name, key in used.items() if key in key_ids[1:]]:
        return f"{_list_names(older)}: sealed with an older key; `jira-relay organizations reseal` takes the first ({key_ids[0]})"
    spare = f", so that {', '.join(key_ids[1:])} can be taken out of the list" if key_ids[1:] else ""
    return f"all are of the first key ({key_ids[0]}){spare}"


async def reseal(context: OperatorContext) -> AsyncIterator[ChangeResult | ChangeFailure]:
    """Seal everything with the first key. One that fails holds up no other. Raises RelayError where there is no key at all."""
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
        lambda before: _with_new_seal(require_existing(before, name), keyring),
        what="resealed",
        who=context.who,
        now_ms=context.now_ms(),
    )
    return ChangeResult(name, "resealed")


def _with_new_seal(organization: Organization, keyring: Keyring) -> Organization:
    """Only what opens is sealed: what somebody else has put there gets no better by this."""
    owner, sealed = CredentialOwner.of(asdict(organization)), organization.credential_ciphertext
    if (reference := organization.credential_reference) is not None:
        keyring.verify_reference(reference, sealed, owner)
        resealed = keyring.seal_reference(reference, owner)
    else:
        resealed = keyring.seal(keyring.open(sealed or b"", owner), owner)
    return replace(organization, credential_ciphertext=resealed)


def _list_names(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - MAX_NAMES
    return ", ".join(listed[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")

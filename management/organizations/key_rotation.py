"""With which of the keys in `secrets` the organizations' own keys and references are sealed, and sealing them anew."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from management.connection_test import Means
from management.organizations.apply_file import Failed
from management.organizations.commands import Done
from management.organizations.editor import edit
from management.organizations.store import existing, standing
from relay.credentials.keyring import CredentialOwner, Keyring, require_keyring, sealing_key_id
from relay.errors import RelayError
from relay.organizations import Organization

SHOWN = 5


def in_words(found: Mapping[str, Organization], keys: Sequence[str]) -> str:
    """Which of these keys (at least one) are needed still. Raises RelayError where one is needed that is not among them."""
    sealed = {name: found[name].credential_ciphertext for name in sorted(found)}
    used = {name: sealing_key_id(what) for name, what in sealed.items() if what is not None}
    if bare := [name for name in sealed if name not in used]:
        raise RelayError(
            f"{_names(bare)}: not sealed, hence refused where keys are set: give the key or the reference again"
            " (jira-relay organizations modify)."
        )
    if strange := [name for name, key in used.items() if key not in keys]:
        raise RelayError(
            f"{_names(strange)}: sealed with none of the keys that are set here ({', '.join(keys)}): put the missing one back into"
            " the list, or give the API keys again."
        )
    if older := [name for name, key in used.items() if key in keys[1:]]:
        return f"{_names(older)}: sealed with an older key; `jira-relay organizations reseal` takes the first ({keys[0]})"
    spare = f", so that {', '.join(keys[1:])} can be taken out of the list" if keys[1:] else ""
    return f"all are of the first key ({keys[0]}){spare}"


async def reseal(means: Means) -> AsyncIterator[Done | Failed]:
    """Seal everything with the first key. One that fails holds up no other. Raises RelayError where there is no key at all."""
    keyring = require_keyring(means.secrets)
    found = await standing(means.connection)
    for name, reason in sorted(found.unreadable.items()):
        yield Failed(name, reason)
    for name, organization in sorted(found.organizations.items()):
        try:
            yield await _reseal(means, keyring, organization)
        except RelayError as error:
            yield Failed(name, str(error))


async def _reseal(means: Means, keyring: Keyring, organization: Organization) -> Done:
    name = organization.name
    sealed = organization.credential_ciphertext
    if sealed is not None and sealing_key_id(sealed) == keyring.ids[0]:
        return Done(name, "unchanged")
    await edit(
        means.connection,
        name,
        lambda before: _resealed(existing(before, name), keyring),
        what="resealed",
        who=means.who,
        now_ms=means.now_ms(),
    )
    return Done(name, "resealed")


def _resealed(organization: Organization, keyring: Keyring) -> Organization:
    """Only what opens is sealed: what somebody else has put there gets no better by this."""
    owner, sealed = CredentialOwner.of(asdict(organization)), organization.credential_ciphertext
    if (reference := organization.credential_reference) is not None:
        keyring.verify_reference(reference, sealed, owner)
        anew = keyring.seal_reference(reference, owner)
    else:
        anew = keyring.seal(keyring.open(sealed or b"", owner), owner)
    return replace(organization, credential_ciphertext=anew)


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - SHOWN
    return ", ".join(listed[:SHOWN]) + (f" and {more} more" if more > 0 else "")

"""The API key of an organization, or its reference: sealing it, comparing it, and moving it to another URL or user."""

from dataclasses import asdict, replace

from management.context import OperatorContext
from management.organizations.validation import ApiKey, ApiKeyReference, InputError
from relay.credentials.keyring import CredentialOwner, Keyring, load_keyring, require_keyring
from relay.errors import SecretError
from relay.organizations import Organization

_NOT_BOUND_REMARK = (
    "The reference is not bound to this URL and user, because secrets.key_file is not set here. Processes that have it set"
    " refuse the reference."
)


def with_key(
    context: OperatorContext, organization: Organization, key: ApiKey
) -> tuple[Organization, tuple[str, ...]]:
    """Return the organization with this key or reference, sealed for its name, URL and user, and remarks for the operator.

    Without keys in `secrets`, a reference is stored unsealed. Raises SettingsError when a key cannot be encrypted.
    """
    owner = CredentialOwner.of(asdict(organization))
    if not isinstance(key, ApiKeyReference):
        sealed = require_keyring(context.secrets).seal(key, owner)
        return replace(organization, credential_ciphertext=sealed, credential_reference=None), ()
    keyring = load_keyring(context.secrets)
    sealed_reference = None if keyring is None else keyring.seal_reference(key.text, owner)
    updated = replace(organization, credential_reference=key.text, credential_ciphertext=sealed_reference)
    return updated, (_NOT_BOUND_REMARK,) if keyring is None else ()


def with_new_seal(organization: Organization, keyring: Keyring) -> Organization:
    """Return the organization with its credential sealed by the first key.

    Raises SecretError when the present seal does not open: resealing must not approve a credential that somebody else has
    written to the topic.
    """
    owner, sealed = CredentialOwner.of(asdict(organization)), organization.credential_ciphertext
    if (reference := organization.credential_reference) is not None:
        keyring.verify_reference(reference, sealed, owner)
        resealed = keyring.seal_reference(reference, owner)
    else:
        resealed = keyring.seal(keyring.open(sealed or b"", owner), owner)
    return replace(organization, credential_ciphertext=resealed)


def has_key(context: OperatorContext, organization: Organization, key: ApiKey) -> bool:
    """Return whether the organization has exactly this key or reference. False also when its key cannot be decrypted here."""
    if isinstance(key, ApiKeyReference):
        return has_reference(context, organization, key)
    if organization.credential_ciphertext is None or organization.credential_reference is not None:
        return False
    try:
        return context.credentials.resolve(asdict(organization)) == key
    except SecretError:
        return False


def has_reference(context: OperatorContext, organization: Organization, key: ApiKey) -> bool:
    """Return whether the organization has this reference, bound to its URL and user. Without keys, the text alone counts."""
    if not isinstance(key, ApiKeyReference) or organization.credential_reference != key.text:
        return False
    try:
        context.credentials.verify_reference(asdict(organization))
    except SecretError:
        return False
    return True


def carry_reference(context: OperatorContext, before: Organization) -> ApiKey:
    """Return the reference, for use with another URL or user. Raises InputError for an encrypted key, SecretError for a bad seal.

    An operator who changes the URL approves the reference for it. An encrypted key must be given again, so that nobody can
    have a key sent to another host without knowing it.
    """
    if before.credential_reference is None:
        raise InputError(
            f"The API key of {before.name} was given for its current URL and user; give it again for the new ones"
            " (--api-key-file FILE)."
        )
    context.credentials.verify_reference(asdict(before))
    return ApiKeyReference(before.credential_reference)

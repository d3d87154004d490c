"""Find the API key of an organization: encrypted in its record, or at the place that a reference names."""

import contextlib
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from relay.credentials.keyring import CredentialOwner, Keyring, how_to_set_again
from relay.credentials.redaction import basic_auth
from relay.credentials.stores.cache import SecretStores
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.reference import describe_forms, is_store_reference, parse_reference
from relay.errors import SecretError

_MAX_BYTES = 16_384
_VARIABLE = re.compile(r"RELAY_KEY_[A-Z0-9_]+")
_FILE_NAME = re.compile(r"(?!(.*/)?\.{1,2}(/|$))[A-Za-z0-9._-]{1,255}(/[A-Za-z0-9._-]{1,255}){0,7}")


def is_reference(text: str) -> bool:
    """Return whether the text has the form of a reference. Whether its target exists is not checked."""
    kind, _, target = text.partition(":")
    if is_store_reference(text):
        with contextlib.suppress(ValueError):
            return not parse_reference(text).is_key
        return False
    form = {"env": _VARIABLE, "file": _FILE_NAME}.get(kind)
    return form is not None and form.fullmatch(target) is not None


@dataclass(frozen=True, slots=True)
class CredentialResolver:
    """Find the API key of an organization. Each call reads files and variables anew, so a change counts at once.

    A key in a store is the last known one; `prepare` waits for the first, and `reread` asks the store after a refusal.
    """

    keyring: Keyring | None
    directory: Path | None
    environ: Mapping[str, str] = field(repr=False)
    on_secret: Callable[[str], None] = lambda _: None
    """Called with each resolved key and its Basic form, so that logs leave them out."""
    stores: SecretStores | None = None
    """None: references to stores are refused."""

    async def prepare(self, organization: Mapping[str, Any]) -> None:
        """Wait for the first read of a key that is in a store. Raises SecretError."""
        reference = organization["credential_reference"]
        if reference is not None and is_store_reference(reference):
            self.verify_reference(organization)
            try:
                await self._require_stores(organization["name"]).read(reference)
            except SecretStoreError as fault:
                raise _unavailable(organization["name"], fault) from fault

    async def reread(self, organization: Mapping[str, Any]) -> bool:
        """Ask the store anew, since the key was refused. Return whether it is another one now; False without a store."""
        reference = organization["credential_reference"]
        if reference is None or not is_store_reference(reference):
            return False
        with contextlib.suppress(SecretError, SecretStoreError):
            self.verify_reference(organization)
            return await self._require_stores(organization["name"]).reread(reference)
        return False

    def resolve(self, organization: Mapping[str, Any], max_age_seconds: float | None = None) -> SecretStr:
        """Return the API key of an organization, given as a record of its topic. Raises SecretError.

        `max_age_seconds`: a key of a store that is older is read again meanwhile. None: the age of the settings.
        """
        owner = CredentialOwner.of(organization)
        reference, sealed = organization["credential_reference"], organization["credential_ciphertext"]
        if reference is not None:
            self.verify_reference(organization)
            key = self._read_reference(reference, owner.name, max_age_seconds)
        elif sealed is None:
            raise SecretError(f"{owner.name} has no API key: {how_to_set_again(owner)}")
        elif self.keyring is None:
            raise SecretError(
                f"The API key of {owner.name} is encrypted, and this process has no key to decrypt it: set "
                "secrets.key_file (RELAY_SECRETS__KEY_FILE) as on the machine where the organization was added."
            )
        else:
            key = self.keyring.open(sealed, owner)
        self._report_secret(key.get_secret_value(), owner.user)
        return key

    def verify_reference(self, organization: Mapping[str, Any]) -> None:
        """Return only if the reference, if any, is valid and was sealed for the organization's name, URL and user.

        Without a keyring the seal is not checked. Raises SecretError.
        """
        reference, owner = organization["credential_reference"], CredentialOwner.of(organization)
        if reference is None:
            return
        if not is_reference(reference):
            raise SecretError(
                f"The reference to the API key of {owner.name} must be env:RELAY_KEY_… (capital "
                "letters, digits, underscores), file:NAME, with a path inside secrets.directory, or "
                f"{' or '.join(describe_forms())}."
            )
        if self.keyring is None and is_store_reference(reference):
            raise SecretError(
                f"The API key of {owner.name} is in a store, and this process has no key to check that an operator gave the "
                "reference: set secrets.key_file or secrets.keys_ref, as on the machine where the organization was added."
            )
        if self.keyring is not None:
            self.keyring.verify_reference(reference, organization["credential_ciphertext"], owner)

    def _require_stores(self, name: str) -> SecretStores:
        if self.stores is None:
            raise SecretError(f"The API key of {name} is in a store, which this process does not use.")
        return self.stores

    def _read_reference(self, reference: str, name: str, max_age_seconds: float | None) -> SecretStr:
        if is_store_reference(reference):
            try:
                text = self._require_stores(name).known(reference, max_age_seconds)
            except SecretStoreError as fault:
                raise _unavailable(name, fault) from fault
            return _parse_key(text, f"The secret {reference} with the API key of {name}")
        kind, _, target = reference.partition(":")
        if kind == "env":
            return _parse_key(
                self.environ.get(target, ""), f"The variable {target} with the API key of {name}"
            )
        return _parse_key(
            self._read_file(target, name),
            f"The file {target} in secrets.directory with the API key of {name}",
        )

    def _read_file(self, target: str, name: str) -> str:
        if self.directory is None:
            raise SecretError(
                f"The API key of {name} is in the file {target}, but this process "
                "has no secrets.directory: set it (RELAY_SECRETS__DIRECTORY)."
            )
        try:
            return _read_confined(self.directory, target)
        except RuntimeError:  # Path.resolve, before Python 3.13
            raise SecretError(
                f"The file {target} in {self.directory} with the API key "
                f"of {name} is a circular link: put the file itself there."
            ) from None
        except OSError as error:
            raise SecretError(
                f"The file {target} in {self.directory} with the API key of {name} "
                f"cannot be read: {error.strerror}. Check its path and permissions."
            ) from error
        except ValueError as error:
            raise SecretError(
                f"The file {target} in {self.directory} with the API key of {name} {error}."
            ) from None

    def _report_secret(self, key: str, user: str) -> None:
        self.on_secret(key)
        self.on_secret(basic_auth(user, key))


def _unavailable(name: str, fault: SecretStoreError) -> SecretError:
    return SecretError(f"The API key of {name} is not available. {fault}")


def _read_confined(directory: Path, target: str) -> str:
    """Return the text of a file that is inside the directory, links resolved.

    Raises OSError, or ValueError whose text completes "the file …".
    """
    root = directory.resolve(strict=True)
    path = (root / target).resolve(strict=True)
    if not path.is_relative_to(root):
        raise ValueError("is a link to a place outside: put the file itself there")
    # O_NOFOLLOW: a link that appeared since is not followed. O_NONBLOCK: a pipe does not block.
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ValueError("is not a regular file: put the API key into a regular file")
        content = os.read(file, _MAX_BYTES + 1)
    finally:
        os.close(file)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"is larger than {_MAX_BYTES} bytes: put the API key alone there")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text: put the API key alone there") from None


def _parse_key(text: str, label: str) -> SecretStr:
    key = text.strip()
    if not key:
        raise SecretError(f"{label} is empty or not set in this process: put the key there.")
    if not key.isprintable():
        raise SecretError(f"{label} must hold the key alone, on one line.")
    return SecretStr(key)

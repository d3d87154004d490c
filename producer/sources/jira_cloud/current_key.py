"""The API key of an organization, as it is at each request."""

import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Final, TypeVar

from producer.sources.errors import SourceFailure
from producer.sources.throttle import RequestThrottle
from relay.credentials.resolver import CredentialResolver
from relay.credentials.stores.reference import is_store_reference
from relay.errors import SecretError
from relay.organizations import Organization

AWAITED_KEY_SECONDS: Final = 30.0
"""Age at which a key in a store is read again while a refused organization waits for another one."""

T = TypeVar("T")


class CurrentKey:
    """Finds the key anew for each request."""

    def __init__(self, organization: Organization, credentials: CredentialResolver) -> None:
        self._record = asdict(organization)
        self._credentials = credentials
        self._is_stored = is_store_reference(organization.credential_reference or "")

    async def prepare(self) -> None:
        """Wait for the first read of a key in a store, before the turn: a store that hangs must hold no slot. Raises nothing.

        A fault is raised by `call`.
        """
        with contextlib.suppress(SecretError):
            await self._credentials.prepare(self._record)

    async def call(
        self, send: Callable[[str], Awaitable[T | SourceFailure]], throttle: RequestThrottle
    ) -> T | SourceFailure:
        """Send a request with the key, and another one if the key is refused and its store has a new one by now.

        Another organization that shares the secret may have read the new one meanwhile. `throttle` learns which key was sent. Raises SecretError.
        """
        throttle.sent_key = None
        found = await send(self._next(throttle))
        if isinstance(found, SourceFailure) and found.login_failed and self._is_stored:
            await self._credentials.reread(self._record)
            if self._fingerprint_now(None) not in {None, throttle.sent_key}:
                return await send(self._next(throttle))
        return found

    def fingerprint(self) -> bytes | None:
        """Return the fingerprint of the key as it is now. None: no key is available."""
        return self._fingerprint_now(AWAITED_KEY_SECONDS)

    def _fingerprint_now(self, max_age_seconds: float | None) -> bytes | None:
        try:
            key = self._credentials.resolve(self._record, max_age_seconds=max_age_seconds)
        except SecretError:
            return None
        return _fingerprint(key.get_secret_value())

    def _next(self, throttle: RequestThrottle) -> str:
        key = self._credentials.resolve(self._record).get_secret_value()
        throttle.sent_key = _fingerprint(key)
        return key


def _fingerprint(key: str) -> bytes:
    """Return a hash that tells one key from another without revealing either."""
    return hashlib.sha256(key.encode()).digest()

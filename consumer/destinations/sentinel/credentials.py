"""Tokens for Azure, and why there are none."""

import asyncio
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError

from consumer.destinations.outcome import Paused, Retry
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.destinations.sentinel.response import describe_error, is_transient
from relay.credentials.azure import open_credential


class TokenUnavailableError(Exception):
    """There is no token; `outcome` says what that means for the request."""

    def __init__(self, outcome: Retry | Paused) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class RenewableCredential:
    """A credential that says in our words why there is no token, and can be made to forget the one it has."""

    def __init__(self, name: str, destination: SentinelConfig) -> None:
        self._name = name
        self._destination = destination
        self._credential: AsyncTokenCredential | None = None
        self._lock = asyncio.Lock()
        self.generation = 0

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        async with self._lock:
            try:
                if self._credential is None:
                    self._credential = open_credential(self._destination.credential, self._destination.cloud)
                return await self._credential.get_token(*scopes, **kwargs)
            except (AzureError, ValueError, OSError) as error:
                await self._forget()  # the next one reads its variables and files again
                raise TokenUnavailableError(self._classify(error)) from error

    async def renew(self, generation: int) -> None:
        """Forget the token of this generation: azure-identity would give it out until it expires."""
        async with self._lock:
            if generation == self.generation:
                self.generation += 1
                await self._forget()

    async def close(self) -> None:
        async with self._lock:
            await self._forget()

    async def _forget(self) -> None:
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()

    def _classify(self, error: Exception) -> Retry | Paused:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, ServiceRequestError | ServiceResponseError) or is_transient(status):
            return Retry(f"Azure gives no token just now: {describe_error(error)}", status)
        return Paused(
            f"Azure gives no token for the credential {self._destination.credential}: {describe_error(error)}"
            f" Check destinations.{self._name}.credential and the AZURE_… variables it reads.",
            status,
        )

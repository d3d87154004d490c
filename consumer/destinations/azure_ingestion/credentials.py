"""Tokens for Azure, and the reason when there is none."""

import asyncio
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError

from consumer.destinations.azure_ingestion.config import IngestionSettings
from consumer.destinations.azure_ingestion.response import is_transient
from consumer.destinations.outcome import Paused, Retry
from relay.credentials.azure import describe_azure_error, open_credential
from relay.errors import RelayError


class TokenUnavailableError(Exception):
    """No token is available; `outcome` is the outcome of the request."""

    def __init__(self, outcome: Retry | Paused) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class RenewableCredential:
    """A credential that can forget its token, and explains to the operator why it has none."""

    def __init__(self, name: str, destination: IngestionSettings) -> None:
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
            except (AzureError, RelayError, ValueError, OSError) as error:
                await self._forget()  # the next credential reads variables and files again
                raise TokenUnavailableError(self._classify(error)) from error

    async def renew(self, generation: int) -> None:
        """Forget the token of this generation, which azure-identity would return until it expires."""
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
            return Retry(f"Azure issues no token now: {describe_azure_error(error)}", status)
        cause = describe_azure_error(error).removesuffix(".")
        return Paused(
            f"Azure issues no token for the credential {self._destination.credential}: {cause}."
            f" Check destinations.{self._name}.credential and the AZURE_… variables it reads.",
            status,
        )

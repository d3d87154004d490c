"""Settings of the stores that references name."""

from typing import Literal

from pydantic import Field

from relay.config.base import AzureCredential, ConfigModel, Seconds, SecretUrl


class SecretStoresConfig(ConfigModel):
    """Stores of secrets that references name: how the relay signs in to them. [Secret stores](operations/secret-stores.md) has the references."""

    refresh_seconds: Seconds = Field(
        default=300,
        ge=30,
        le=86_400,
        description="Age at which a secret of a store is read again. After a refused login it is read again at once.",
        examples=[600],
    )
    azure_credential: AzureCredential = Field(
        default="default",
        description="Key Vault: the azure-identity credential. Its own variables (AZURE_…, IDENTITY_…) apply.",
        examples=["workload-identity"],
    )
    azure_cloud: Literal["public", "usgov", "china"] = Field(
        default="public", description="Key Vault: the cloud of the vaults.", examples=["usgov"]
    )
    azure_endpoint: SecretUrl | None = Field(
        default=None,
        description="Key Vault: address to ask instead of `https://VAULT.vault.azure.net`, for every vault. The token goes there.",
        examples=["https://key-vault.example.com"],
    )

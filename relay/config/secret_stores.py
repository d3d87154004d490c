"""Settings of the stores that references name."""

from typing import Literal

from pydantic import Field, SecretStr

from relay.config.base import AzureCredential, ConfigModel, ExistingFile, ExpandedPath, Seconds, SecretUrl


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
    vault_address: SecretUrl | None = Field(
        default=None,
        description="Vault or OpenBao: address of the server. Needed for references to it.",
        examples=["https://vault.example.com:8200"],
    )
    vault_namespace: str | None = Field(
        default=None, description="Vault: namespace of secrets and login.", examples=["security"]
    )
    vault_auth: Literal["token", "approle", "kubernetes"] = Field(
        default="token", description="Vault: how the relay signs in.", examples=["kubernetes"]
    )
    vault_auth_mount: str | None = Field(
        default=None,
        description="Vault: path that the login is mounted at. Not set: `approle` or `kubernetes`.",
        examples=["kubernetes/prod"],
    )
    vault_role: str | None = Field(
        default=None,
        description="Vault: the role of the login `kubernetes`, and the role id of `approle`.",
        examples=["jira-relay"],
    )
    vault_token: SecretStr | None = Field(
        default=None, description="Vault: the token of the login `token`.", examples=["…"]
    )
    vault_token_file: ExpandedPath | None = Field(
        default=None,
        description="Vault: file with this token, as an agent renews it. It is read for each request.",
        examples=["/run/vault/token"],
    )
    vault_secret_id: SecretStr | None = Field(
        default=None, description="Vault: the secret id of the login `approle`.", examples=["…"]
    )
    vault_secret_id_file: ExpandedPath | None = Field(
        default=None,
        description="Vault: file with this secret id. It is read for each login.",
        examples=["/run/secrets/vault-secret-id"],
    )
    vault_kubernetes_token_file: ExpandedPath | None = Field(
        default=None,
        description="Vault: file with the token of the service account for the login `kubernetes`. Not set: that of the pod.",
        examples=["/run/relay/vault/token"],
    )
    vault_ca_file: ExistingFile | None = Field(
        default=None,
        description="Vault: CA certificates (PEM) to verify the server. Not set: the system's.",
        examples=["/etc/relay/vault-ca.pem"],
    )
    aws_region: str | None = Field(
        default=None,
        description="AWS: region of secrets and parameters. Not set: `AWS_REGION` or `AWS_DEFAULT_REGION`.",
        examples=["eu-central-1"],
    )
    aws_endpoint: SecretUrl | None = Field(
        default=None,
        description="AWS: address to ask instead of `https://SERVICE.REGION.amazonaws.com`, for every service; that of a VPC endpoint for its own.",
        examples=["https://vpce-0123-abcd.secretsmanager.eu-central-1.vpce.amazonaws.com"],
    )
    google_endpoint: SecretUrl | None = Field(
        default=None,
        description="Google: address to ask instead of `https://SERVICE.googleapis.com`, for every service.",
        examples=["https://secretmanager.europe-west3.rep.googleapis.com"],
    )

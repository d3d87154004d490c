"""Azure's credentials by the names that settings give them. azure-identity reads its own variables (AZURE_…, IDENTITY_…)."""

import logging
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.identity import AzureAuthorityHosts
from azure.identity.aio import (
    AzureCliCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    WorkloadIdentityCredential,
)

# It warns of each failure in several lines; we say it in one, with what to do.
logging.getLogger("azure.identity").setLevel(logging.ERROR)

_AUTHORITIES = {"usgov": AzureAuthorityHosts.AZURE_GOVERNMENT, "china": AzureAuthorityHosts.AZURE_CHINA}
_ONLY_MANAGED_IDENTITY = dict.fromkeys(
    (
        "exclude_environment_credential",
        "exclude_workload_identity_credential",
        "exclude_developer_cli_credential",
        "exclude_cli_credential",
        "exclude_powershell_credential",
        "exclude_shared_token_cache_credential",
        "exclude_visual_studio_code_credential",
    ),
    True,
)


def open_credential(kind: str, cloud: str) -> AsyncTokenCredential:
    """A new credential, without any token yet; to be closed. Raises ValueError where a variable is missing or wrong."""
    authority: dict[str, Any] = {"authority": _AUTHORITIES[cloud]} if cloud in _AUTHORITIES else {}
    match kind:
        case "managed-identity":
            # alone, ManagedIdentityCredential would not read AZURE_CLIENT_ID; in clear to this machine, by no proxy
            return DefaultAzureCredential(**_ONLY_MANAGED_IDENTITY, **authority, use_env_settings=False)
        case "workload-identity":
            return WorkloadIdentityCredential(**authority)
        case "client-secret":
            return EnvironmentCredential(**authority)
        case "azure-cli":
            return AzureCliCredential()
        case _:
            return DefaultAzureCredential(**authority)

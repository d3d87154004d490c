"""Azure's credentials, by their names in the settings. azure-identity reads its own variables (AZURE_…, IDENTITY_…)."""

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

# It logs each failure as a warning of several lines; the relay reports it in one line, with the remedy.
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
    """Open a credential, which the caller must close. It has no token yet.
    Raises ValueError for a missing or wrong variable.
    """
    authority: dict[str, Any] = {"authority": _AUTHORITIES[cloud]} if cloud in _AUTHORITIES else {}
    match kind:
        case "managed-identity":
            # 1. ManagedIdentityCredential by itself does not read AZURE_CLIENT_ID; the default credential does.
            # 2. Its requests go unencrypted to this machine, so the environment's proxies must not see them.
            return DefaultAzureCredential(**_ONLY_MANAGED_IDENTITY, **authority, use_env_settings=False)
        case "workload-identity":
            return WorkloadIdentityCredential(**authority)
        case "client-secret":
            return EnvironmentCredential(**authority)
        case "azure-cli":
            return AzureCliCredential()
        case _:
            return DefaultAzureCredential(**authority)

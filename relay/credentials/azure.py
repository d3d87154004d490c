"""Azure's credentials, by their names in the settings. azure-identity reads its own variables (AZURE_…, IDENTITY_…)."""

import logging
import re
from typing import Any

from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity import AzureAuthorityHosts
from azure.identity.aio import (
    AzureCliCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    WorkloadIdentityCredential,
)

from relay.errors import describe, one_line
from relay.http import create_tls_context, read_proxy_rules

# It logs each failure as a warning of several lines; the relay reports it in one line, with the remedy.
logging.getLogger("azure.identity").setLevel(logging.ERROR)

_ATTEMPT = re.compile(r"^\t(\w+): (.*)$", re.MULTILINE)
"""An attempt in the message of a chain: a line of its own after a tab (azure.identity._credentials.chained)."""

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
    Raises ValueError for a missing or wrong variable, SettingsError for one of a proxy or of CA certificates.
    """
    options: dict[str, Any] = {"authority": _AUTHORITIES[cloud]} if cloud in _AUTHORITIES else {}
    options["transport"] = AzureTransport()
    match kind:
        case "managed-identity":
            # ManagedIdentityCredential by itself does not read AZURE_CLIENT_ID; the default credential does.
            return DefaultAzureCredential(**_ONLY_MANAGED_IDENTITY, **options)
        case "workload-identity":
            return WorkloadIdentityCredential(**options)
        case "client-secret":
            return EnvironmentCredential(**options)
        case "azure-cli":
            return AzureCliCredential()
        case _:
            return DefaultAzureCredential(**options)


class AzureTransport(AioHttpTransport):  # type: ignore[misc]
    """The transport of Azure's libraries, under the rules of `relay.http`: their own reads a .netrc, and sends its password.

    Several credentials of a chain may share it. It opens its session anew after `close`.
    """

    def __init__(self, **options: Any) -> None:
        """Read the rules; `options` are those of azure-core. Raises SettingsError."""
        super().__init__(use_env_settings=False, **options)
        self.session: ClientSession | None = None
        self._rules = read_proxy_rules()
        self._tls = create_tls_context()

    async def open(self) -> None:
        if self.session is None:
            self.session = ClientSession(
                trust_env=False,
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                connector=TCPConnector(ssl=self._tls),
            )

    async def send(self, request: Any, **options: Any) -> Any:
        await self.open()
        return await super().send(request, proxy=self._rules.proxy_for(request.url), **options)


def describe_azure_error(error: BaseException) -> str:
    """Return the message of an error of azure-identity on one line.

    Of a chain of credentials it has the first sentence of each attempt; else it is cut to 400 characters.
    """
    text = describe(error)
    attempts = _ATTEMPT.findall(text)
    if not attempts:
        return one_line(text)
    return "; ".join(f"{name}: {_first_sentence(name, said)}" for name, said in attempts) + "."


def _first_sentence(credential: str, text: str) -> str:
    said = re.sub(rf"^{credential} authentication unavailable[.,]?\s*", "", text.strip())
    return one_line(re.split(r"(?<=[.!?])\s", said or text.strip())[0].rstrip("."), 200)

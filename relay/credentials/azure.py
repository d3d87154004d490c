"""Azure's credentials, by their names in the settings. azure-identity reads its own variables (AZURE_…, IDENTITY_…)."""

import logging
import re
import zlib
from typing import Any
from urllib.parse import urlsplit

from aiohttp import (
    ClientConnectorError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientResponse,
    ClientSession,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
)
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity import AzureAuthorityHosts
from azure.identity.aio import (
    AzureCliCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    WorkloadIdentityCredential,
)

from relay.errors import describe, one_line
from relay.http import create_tls_context
from relay.proxies import Proxy, read_proxy_rules

# It logs each failure as a warning of several lines; the relay reports it in one line, with the remedy.
logging.getLogger("azure.identity").setLevel(logging.ERROR)

_ATTEMPT = re.compile(r"^\t(\w+): (.*)$", re.MULTILINE)
"""An attempt in the message of a chain: a line of its own after a tab (azure.identity._credentials.chained)."""

_AUTHORITIES = {"usgov": AzureAuthorityHosts.AZURE_GOVERNMENT, "china": AzureAuthorityHosts.AZURE_CHINA}
MAX_ANSWER_BYTES = 1024 * 1024
"""The largest answer of Azure that is read, decompressed. A token and an error have some kilobytes."""
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": -zlib.MAX_WBITS}
"""As azure-core decompresses (azure.core.utils._pipeline_transport_rest_shared)."""

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
                response_class=_BoundedResponse,
                connector=TCPConnector(ssl=self._tls),
            )

    async def send(self, request: Any, **options: Any) -> Any:
        await self.open()
        proxy = self._rules.find(request.url)
        try:
            return await super().send(request, proxy=None if proxy is None else proxy.url, **options)
        except (ServiceRequestError, ServiceResponseError) as error:
            # aiohttp's own text shows the URL of the proxy, with its password.
            fault = None if proxy is None else _proxy_fault(proxy, error.__cause__)
            if fault is None:
                raise
            raise type(error)(fault, error=error) from error


def _proxy_fault(proxy: Proxy, cause: BaseException | None) -> str | None:
    """Return what a proxy did to a request. None: the host behind it is to blame."""
    match cause:
        case ClientHttpProxyError():
            return proxy.refused(cause.status)
        case ClientConnectorError() if cause.host == urlsplit(proxy.url).hostname:
            return proxy.unreachable
        case ConnectionTimeoutError():  # of the connection, which goes to the proxy
            return proxy.unreachable
    return None


class _BoundedResponse(ClientResponse):
    """Reads no more than MAX_ANSWER_BYTES of an answer, though azure-core reads and decompresses all of it.

    Of a longer error the beginning is kept, since its status decides. A longer success raises ClientPayloadError.
    """

    async def read(self) -> bytes:
        if self._body is not None:
            return await super().read()
        found = bytearray()
        try:
            async for piece in self.content.iter_chunked(65_536):
                found += piece
                if len(found) > MAX_ANSWER_BYTES:
                    break
        except BaseException:
            self.close()
            raise
        if len(found) > MAX_ANSWER_BYTES or self._decompresses_to_more(bytes(found)):
            self.close()
            if self.status < 300:
                raise ClientPayloadError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
            self._body = b"" if self._window_bits else bytes(found[:MAX_ANSWER_BYTES])
            return self._body
        self._body = bytes(found)
        return await super().read()

    @property
    def _window_bits(self) -> int:
        """0: azure-core does not decompress the answer."""
        return _WINDOW_BITS.get(self.headers.get("Content-Encoding", "").lower(), 0)

    def _decompresses_to_more(self, content: bytes) -> bool:
        if not self._window_bits:
            return False
        try:
            size = len(zlib.decompressobj(self._window_bits).decompress(content, MAX_ANSWER_BYTES + 1))
        except zlib.error:
            return False  # azure-core reports it
        return size > MAX_ANSWER_BYTES


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

"""An identity provider by HTTP: its metadata, its keys, and the exchange of a code. Its answers are foreign text."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from relay.config.console import ConsoleConfig
from relay.errors import RelayError, SettingsError, one_line
from relay.http import create_tls_context, open_transport
from relay.url_policy import UrlError, split_url

ANSWER_SECONDS = 10.0
METADATA_MS = 3_600_000
MAX_ANSWER_BYTES = 1024 * 1024


class OidcError(RelayError):
    """Nobody was signed in."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the provider says of itself (OpenID Connect Discovery 3). `names_itself`: its redirects have `iss` (RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None
    names_itself: bool
    takes_basic: bool


class ProviderClient:
    """Asks one provider. Metadata and keys are kept for an hour."""

    def __init__(
        self,
        config: ConsoleConfig,
        now_ms: Callable[[], int],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` None: as the proxies and certificates of the environment say. Raises SettingsError for `oidc_ca_file`."""
        self._config = config
        self._now_ms = now_ms
        self._transport = transport or _transport(config)
        self._metadata: tuple[int, Metadata] | None = None
        self._keys: tuple[int, KeySet] | None = None

    @property
    def issuer(self) -> str:
        """The issuer as the provider writes it: the setting, with or without a slash at the end."""
        return str(self._config.oidc_issuer) if self._metadata is None else self._metadata[1].issuer

    async def close(self) -> None:
        await self._transport.aclose()

    async def metadata(self) -> Metadata:
        """Return what the provider says of itself. Raises OidcError."""
        now = self._now_ms()
        if self._metadata is None or not 0 <= now - self._metadata[0] < METADATA_MS:
            url = f"{self._config.oidc_issuer}/.well-known/openid-configuration"
            self._metadata = (
                now,
                read_metadata(str(self._config.oidc_issuer), await self._document("GET", url)),
            )
        return self._metadata[1]

    async def keys(self, *, again: bool = False) -> KeySet:
        """Return the keys that sign id tokens; with `again`, as they are now. Raises OidcError."""
        now = self._now_ms()
        if again or self._keys is None or not 0 <= now - self._keys[0] < METADATA_MS:
            document: Any = await self._document("GET", (await self.metadata()).jwks_uri)
            try:
                self._keys = now, KeySet.import_key_set(document)
            except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise self._odd_answer("its keys cannot be read") from error
        return self._keys[1]

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> str:
        """Return the id token for a code. Raises OidcError."""
        metadata, config = await self.metadata(), self._config
        secret = "" if config.oidc_client_secret is None else config.oidc_client_secret.get_secret_value()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": config.oidc_client_id or "",
        }
        headers = {}
        if metadata.takes_basic:
            user = f"{quote_plus(config.oidc_client_id or '')}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
        else:
            form["client_secret"] = secret
        answer = await self._document("POST", metadata.token_endpoint, data=form, headers=headers)
        id_token = answer.get("id_token")
        if not isinstance(id_token, str):
            raise self._odd_answer("it gives no id token; console.oidc_scope must have openid")
        return id_token

    async def _document(self, method: str, url: str, **options: Any) -> Mapping[str, Any]:
        """Return the JSON object of an answer. Redirects are not followed: the client secret must reach no other host."""
        client = httpx.AsyncClient(
            transport=_Shared(self._transport), trust_env=False, follow_redirects=False
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS), client:
                answer = await client.request(method, url, **options)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise OidcError(
                f"The identity provider cannot be reached at {url} ({one_line(str(error)) or 'no answer in time'}). Try again; if this"
                " lasts, check console.oidc_issuer and the network."
            ) from error
        try:
            found = json.loads(answer.content)
        except (ValueError, RecursionError):
            found = None
        if answer.status_code != httpx.codes.OK or not isinstance(found, dict):
            error_words = found.get("error", "") if isinstance(found, dict) else ""
            raise self._odd_answer(
                f"{url} answers {answer.status_code} {one_line(str(error_words), 80)}".strip()
            )
        return found

    def _odd_answer(self, reason: str) -> OidcError:
        return OidcError(f"The identity provider {self._config.oidc_issuer} cannot be used: {reason}.")


class _Shared(httpx.AsyncBaseTransport):
    """The transport of all requests, which the end of one client does not close."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)


def read_metadata(issuer: str, document: Mapping[str, Any]) -> Metadata:
    """Return the metadata of a document. Raises OidcError, also if it is that of another issuer: one could speak for another."""
    said = document.get("issuer")
    if not isinstance(said, str) or said.rstrip("/") != issuer:
        raise OidcError(
            f"The identity provider at {issuer} calls itself {one_line(str(said), 200)}. Set console.oidc_issuer to its own name."
        )
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    end = document.get("end_session_endpoint")
    return Metadata(
        said,
        _endpoint(document, "authorization_endpoint"),
        _endpoint(document, "token_endpoint"),
        _endpoint(document, "jwks_uri"),
        _endpoint(document, "end_session_endpoint") if end is not None else None,
        document.get("authorization_response_iss_parameter_supported") is True,
        not isinstance(methods, list) or "client_secret_basic" in methods,
    )


def _endpoint(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    try:
        if isinstance(value, str) and split_url(value)[0].confidential:
            return value
    except UrlError:
        pass
    raise OidcError(f"The identity provider has no {name} with https: {one_line(str(value), 200)}.")


def _transport(config: ConsoleConfig) -> httpx.AsyncBaseTransport:
    try:
        return open_transport(create_tls_context(config.oidc_ca_file), max_body_bytes=MAX_ANSWER_BYTES)
    except OSError as error:
        raise SettingsError(f"console.oidc_ca_file cannot be used: {error}. Check the file.") from error

"""Tokens for OAUTHBEARER, and the reasons why none is available."""

import asyncio
import math
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import httpx
import orjson
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

from relay.config.kafka import KafkaConfig
from relay.credentials.redaction import Redactor, basic_auth
from relay.errors import SettingsError, one_line
from relay.http import ProxyTransport, create_tls_context, open_transport
from relay.kafka.aiokafka_patches.oauth import patch_oauth_login
from relay.retry import backoff_seconds

_TOKEN_PATTERN = re.compile(r"[!-~]+")
_EVENT_HUBS_CLOUDS = {
    ".servicebus.windows.net": "public",
    ".servicebus.usgovcloudapi.net": "usgov",
    ".servicebus.chinacloudapi.cn": "china",
}


@dataclass(frozen=True, slots=True)
class OAuthTiming:
    """Durations of the token handling, in seconds."""

    answer_seconds: float = 10.0
    """How long an authorization server may take for its answer; Azure's credentials get three times as long."""
    refresh_fraction: float = 0.8
    """Part of a token's lifetime after which a new token is fetched (Kafka: sasl.login.refresh.window.factor)."""
    default_lifetime_seconds: float = 60.0
    """Assumed lifetime of a token whose answer names none, or an impossible one."""
    max_lifetime_seconds: float = 86_400.0
    rejected_refresh_seconds: float = 10.0
    """Least time between the request of a token that Kafka then rejected, and the next request."""


DEFAULT_TIMING = OAuthTiming()


class OAuthTokenError(KafkaError):  # type: ignore[misc]
    """No token is available now. aiokafka takes it for a failed connection, and tries again."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class OAuthToken:
    """A token and its remaining lifetime."""

    text: str = field(repr=False)
    lifetime_seconds: float
    """Counted from now."""


FetchToken = Callable[[], Awaitable[OAuthToken]]
"""Fetches one token. Raises OAuthTokenError."""


class OAuthTokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """The token of every connection.

    1. One token serves all connections until most of its lifetime is over, so none begins with a token that soon expires.
    2. Only one request runs at a time.
    3. After a failure the next request waits, longer each time; until it succeeds, the old token serves to its end.
    """

    def __init__(
        self,
        fetch: FetchToken,
        clock: Callable[[], float] = time.monotonic,
        timing: OAuthTiming = DEFAULT_TIMING,
    ) -> None:
        self._fetch = fetch
        self._timing = timing
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: OAuthToken | None = None
        self._expires_at = -math.inf
        self._requested_at = -math.inf
        self._refresh_at = -math.inf
        self._failure: OAuthTokenError | None = None
        self._failures = 0

    async def token(self) -> str:
        """Return a valid token. Raises OAuthTokenError."""
        async with self._lock:
            if self._clock() >= self._refresh_at:
                await self._refresh()
            if self._token is None or self._clock() >= self._expires_at:
                raise self._failure or OAuthTokenError(
                    "The token for Kafka expired before its first use. Check the "
                    "clocks and the token lifetime of the authorization server."
                )
            return self._token.text

    def reject(self) -> None:
        """Replace the token, which Kafka rejected, but not within `rejected_refresh_seconds` of its request."""
        self._refresh_at = min(self._refresh_at, self._requested_at + self._timing.rejected_refresh_seconds)

    async def _refresh(self) -> None:
        self._requested_at = self._clock()
        try:
            self._token = await self._fetch()
        except OAuthTokenError as error:
            self._failure = error
            self._refresh_at = self._clock() + backoff_seconds(self._failures, random.random())
            self._failures += 1
            return
        self._failure, self._failures = None, 0
        self._refresh_at = self._requested_at + self._timing.refresh_fraction * self._token.lifetime_seconds
        self._expires_at = self._requested_at + self._token.lifetime_seconds


def create_token_provider(
    kafka: KafkaConfig,
    timing: OAuthTiming = DEFAULT_TIMING,
    wall_clock: Callable[[], float] = time.time,
) -> OAuthTokenProvider | None:
    """Return the provider of these settings, None if they use no tokens. Raises SettingsError."""
    if kafka.sasl_mechanism != "OAUTHBEARER":
        return None
    patch_oauth_login()
    if kafka.oauth_credential is None:
        return OAuthTokenProvider(lambda: _fetch_from_oauth_server(kafka, timing), timing=timing)
    scope, cloud = azure_scope(kafka)
    return OAuthTokenProvider(
        lambda: _fetch_from_azure(kafka, scope, cloud, timing, wall_clock), timing=timing
    )


def azure_scope(kafka: KafkaConfig) -> tuple[str, str]:
    """Return the token scope for the namespace in kafka.bootstrap, and its cloud.
    Raises SettingsError if the scope is unknown.
    """
    host = (kafka.bootstrap or "").partition(",")[0].rpartition(":")[0]
    cloud = next((cloud for suffix, cloud in _EVENT_HUBS_CLOUDS.items() if host.endswith(suffix)), None)
    if kafka.oauth_scope is None and cloud is None:
        raise SettingsError(
            f"kafka.oauth_scope is required: kafka.bootstrap ({host or 'not set'}) "
            "is not an Event Hubs namespace, so its scope is unknown."
        )
    return kafka.oauth_scope or f"https://{host}/.default", cloud or "public"


async def _fetch_from_azure(
    kafka: KafkaConfig, scope: str, cloud: str, timing: OAuthTiming, wall_clock: Callable[[], float]
) -> OAuthToken:
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - slow to load, and few need it

    from relay.credentials.azure import describe_azure_error, open_credential  # noqa: PLC0415

    try:
        async with asyncio.timeout(timing.answer_seconds * 3):  # a credential may try several sources in turn
            async with open_credential(str(kafka.oauth_credential), cloud) as credential:
                given = await credential.get_token(scope)
    except (AzureError, SettingsError, ValueError, OSError) as error:
        raise OAuthTokenError(
            f"Azure gives no token for {scope} to the credential {kafka.oauth_credential}: "
            f"{describe_azure_error(error)} Check kafka.oauth_credential and the AZURE_… variables it reads."
        ) from error
    return OAuthToken(given.token, _clamp_lifetime(given.expires_on - wall_clock(), timing))


async def _fetch_from_oauth_server(kafka: KafkaConfig, timing: OAuthTiming) -> OAuthToken:
    url = str(kafka.oauth_token_url)
    form = {"grant_type": "client_credentials"} | ({"scope": kafka.oauth_scope} if kafka.oauth_scope else {})
    client = httpx.AsyncClient(
        transport=_transport(kafka),
        trust_env=False,  # else a .netrc could replace the credentials
        follow_redirects=False,  # the client secret must reach no other host
    )
    try:
        async with asyncio.timeout(timing.answer_seconds), client:
            answer = await client.post(url, data=form, headers={"Authorization": _basic_header(kafka)})
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:  # InvalidURL: of an odd redirect
        raise OAuthTokenError(
            f"No token for Kafka: {url} cannot be reached ({one_line(str(error)) or 'no answer in time'}). "
            "Check kafka.oauth_token_url, kafka.oauth_ca_file, and the network."
        ) from error
    return parse_token_response(kafka, answer.status_code, answer.content, timing)


def _transport(kafka: KafkaConfig) -> ProxyTransport:
    try:
        return open_transport(create_tls_context(kafka.oauth_ca_file))
    except SettingsError as error:
        raise OAuthTokenError(f"No token for Kafka: {error}") from error
    except OSError as error:
        raise OAuthTokenError(
            f"No token for Kafka: kafka.oauth_ca_file cannot be used: {error}. Check the file."
        ) from error


def _basic_header(kafka: KafkaConfig) -> str:
    """Return the client's credentials as HTTP Basic, which every server must support (RFC 6749, 2.3.1)."""
    secret = kafka.oauth_client_secret.get_secret_value() if kafka.oauth_client_secret else ""
    return f"Basic {basic_auth(quote_plus(kafka.oauth_client_id or ''), quote_plus(secret))}"


def parse_token_response(
    kafka: KafkaConfig, status: int, content: bytes, timing: OAuthTiming = DEFAULT_TIMING
) -> OAuthToken:
    """Return the token of a response (RFC 6749, 5.1 and 5.2). Raises OAuthTokenError with the remedy."""
    body = _json_object(content)
    token, seconds = body.get("access_token"), body.get("expires_in")
    if status == httpx.codes.OK and isinstance(token, str) and _TOKEN_PATTERN.fullmatch(token):
        return OAuthToken(token, _clamp_lifetime(seconds, timing))
    error = one_line(str(body.get("error") or ""), 80)
    details = _redact(kafka, one_line(f"{status} {error} {body.get('error_description') or ''}"))
    url = kafka.oauth_token_url
    if status in {400, 401, 403} and error == "invalid_scope":
        raise OAuthTokenError(f"{url} gives no token for kafka.oauth_scope ({details}): check the scope.")
    if status in {400, 401, 403}:
        raise OAuthTokenError(
            f"{url} gives no token to the client {kafka.oauth_client_id} "
            f"({details}): check kafka.oauth_client_id and kafka.oauth_client_secret."
        )
    if status in {408, 429} or status >= 500:
        raise OAuthTokenError(f"{url} gives no token for now ({details}); the request is repeated.")
    if 300 <= status < 400:
        raise OAuthTokenError(
            f"{url} redirects to another address ({status}), which does not get the "
            "client secret: if that address is correct, set kafka.oauth_token_url to it."
        )
    raise OAuthTokenError(f"{url} answers without a token ({details}): check kafka.oauth_token_url.")


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _clamp_lifetime(claimed: Any, timing: OAuthTiming) -> float:
    try:
        seconds = float(claimed)
    except (TypeError, ValueError):
        return timing.default_lifetime_seconds
    return seconds if 0 < seconds <= timing.max_lifetime_seconds else timing.default_lifetime_seconds


def _redact(kafka: KafkaConfig, text: str) -> str:
    redactor = Redactor()
    if kafka.oauth_client_secret is not None:
        redactor.add(kafka.oauth_client_secret.get_secret_value())
    return redactor(text)

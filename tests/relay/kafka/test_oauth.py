import asyncio
import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.kafka import KafkaConfig
from relay.errors import SettingsError
from relay.kafka.connection import Connection
from relay.kafka.oauth import (
    OAuthTiming,
    OAuthToken,
    OAuthTokenError,
    OAuthTokenProvider,
    azure_scope,
    create_token_provider,
    parse_token_response,
)
from simulators.azure.world import AzureWorld
from simulators.faults import hang, reset, respond_with

SECRET = "s3cret-of-ours"
NOT_HERE = "http://127.0.0.1:1/token"
NAMESPACE = "ns.servicebus.windows.net"


class TokenServer:
    """Issues numbered tokens, or fails. It has its own clock."""

    def __init__(self, seconds=100):
        self.now, self.requests, self.seconds, self.failing = 0.0, 0, seconds, False
        self.provider = OAuthTokenProvider(self.fetch, lambda: self.now)

    async def fetch(self):
        self.requests += 1
        await asyncio.sleep(0)
        if self.failing:
            raise OAuthTokenError("no")
        return OAuthToken(f"token {self.requests}", self.seconds)

    async def at(self, now):
        self.now = now
        return await self.provider.token()


async def test_a_token_is_used_until_most_of_its_lifetime_is_over():
    """Concurrent and later callers share one token until a fifth of its lifetime is left."""
    server = TokenServer()

    assert await asyncio.gather(*(server.provider.token() for _ in range(20))) == ["token 1"] * 20
    assert await server.at(79) == "token 1"
    assert await server.at(80) == "token 2"


async def test_a_token_is_used_until_it_expires_if_no_other_is_available():
    """Between its renewal time and its end a token is used; after that the reason of the failure is raised."""
    server = TokenServer()
    await server.at(0)
    server.failing = True

    assert await server.at(80) == "token 1"
    assert await server.at(99) == "token 1"
    with pytest.raises(OAuthTokenError, match="no"):
        await server.at(100)
    server.failing = False
    assert await server.at(300) == f"token {server.requests}"


async def test_a_failed_request_is_not_repeated_at_each_connection():
    """After a failure the next request waits, longer each time, however many connections are tried."""
    server = TokenServer()
    server.failing = True
    for tenths in range(6_000):
        with pytest.raises(OAuthTokenError):
            await server.at(tenths / 10)

    assert 10 <= server.requests <= 25


async def test_a_token_that_kafka_rejects_is_replaced_after_ten_seconds():
    """It is used for ten more seconds, so that rejections do not flood the authorization server."""
    server = TokenServer(3600)
    await server.at(0)
    for second in range(40):
        await server.at(second)
        server.provider.reject()

    assert server.requests == 4


def oauth_config(url, name="us", secret=SECRET, **more):
    login = {"oauth_client_id": name, "oauth_client_secret": secret, "oauth_token_url": url}
    return KafkaConfig(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", **login, **more)


async def test_the_token_request_has_the_credentials_and_the_scope(authorization_server):
    """Client id and secret are sent as HTTP Basic, special characters escaped; the scope is in the form."""
    us = (authorization_server.client_id, authorization_server.client_secret)
    found = await create_token_provider(
        oauth_config(authorization_server.url, *us, oauth_scope="kafka")
    ).token()

    assert found == authorization_server.issued_tokens[0]
    assert authorization_server.requests == [(us, {"grant_type": "client_credentials", "scope": "kafka"})]


REFUSALS = {
    "another client": (
        None,
        r"gives no token to the client us \(401 invalid_client Bad client credentials\)",
    ),
    "a scope": (respond_with(400, '{"error": "invalid_scope"}'), r"kafka\.oauth_scope .*invalid_scope"),
    "for now": (respond_with(429), "gives no token for now"),
    "a redirect": (
        respond_with(307, headers={"Location": NOT_HERE}),
        r"redirects .* does not get the client secret",
    ),
    "a page": (respond_with(200, "<html>", content_type="text/html"), "answers without a token"),
    "no token in it": (respond_with(200, '{"expires_in": 3}'), "answers without a token"),
    "an echo": (respond_with(400, json.dumps({"error_description": SECRET})), "check kafka.oauth_client_id"),
    "a reset": (reset(), "cannot be reached"),
    "silence": (hang(3), "cannot be reached"),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_each_missing_token_has_a_reason(authorization_server, kind):
    """Each failure of the authorization server has a sentence that names the cause, and never the client secret."""
    fault, expected = REFUSALS[kind]
    if fault is not None:
        authorization_server.faults.add(fault)
    with pytest.raises(OAuthTokenError, match=expected) as caught:
        await create_token_provider(
            oauth_config(authorization_server.url),
            OAuthTiming(answer_seconds=1.0 if kind == "silence" else 60.0),
        ).token()

    assert SECRET not in caught.value.sentence
    assert len(authorization_server.requests) == 1


async def test_an_unreachable_authorization_server_is_named():
    """An address without a listener is named."""
    with pytest.raises(OAuthTokenError, match=f"{NOT_HERE} cannot be reached"):
        await create_token_provider(oauth_config(NOT_HERE)).token()


JSON_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63),
    st.lists(st.integers(0, 9)),
)


@given(JSON_VALUES)
def test_an_impossible_lifetime_is_replaced(claimed):
    """A lifetime between zero and a day is used; any other value is replaced by a minute."""
    body = json.dumps({"access_token": "t", "expires_in": claimed}).encode()
    token = parse_token_response(oauth_config(NOT_HERE), 200, body)
    possible = isinstance(claimed, int | float) and 0 < claimed <= 86_400
    if not isinstance(claimed, str):  # a server may send the number as text
        assert token.lifetime_seconds == (claimed if possible else 60.0)
    assert 0 < token.lifetime_seconds <= 86_400


@pytest.mark.parametrize(
    ("claimed", "seconds"),
    [('"300"', 300), ('"soon"', 60), ('"NaN"', 60), ('"inf"', 60), ("-1", 60), ("1e300", 60), ("true", 1)],
)
def test_a_lifetime_in_each_form(claimed, seconds):
    """Numbers and their texts count; no form of infinity or of no number does."""
    body = b'{"access_token": "t", "expires_in": %s}' % claimed.encode()
    assert parse_token_response(oauth_config(NOT_HERE), 200, body).lifetime_seconds == seconds


@given(st.binary(), st.integers(100, 599))
def test_every_answer_is_a_token_or_a_reason(content, status):
    """Any bytes with any status are a token, or a reason why none is available."""
    with contextlib.suppress(OAuthTokenError):
        parse_token_response(oauth_config(NOT_HERE), status, content)


def azure_config(bootstrap=f"{NAMESPACE}:9093", **more):
    login = {"sasl_mechanism": "OAUTHBEARER", "oauth_credential": "managed-identity"}
    return KafkaConfig(
        bootstrap=bootstrap, profile="event-hubs", security_protocol="SASL_SSL", **login, **more
    )


async def test_a_token_of_azure_is_for_the_namespace(monkeypatch):
    """With a credential of Azure, the token is for the Event Hubs namespace in kafka.bootstrap."""
    async with AzureWorld() as world:
        for name, value in world.environment("managed-identity").items():
            monkeypatch.setenv(name, value)
        token = await create_token_provider(azure_config()).token()

        assert world.identity._tokens[token].audience == f"https://{NAMESPACE}"


async def test_a_clock_that_is_days_ahead_does_not_refetch_tokens(monkeypatch):
    """By that clock each token of Azure has expired; a new one for each connection would be as old."""
    async with AzureWorld() as world:
        for name, value in world.environment("managed-identity").items():
            monkeypatch.setenv(name, value)
        found = create_token_provider(azure_config(), wall_clock=lambda: time.time() + 2 * 86_400)
        first = await found.token()

        assert await found.token() == first
        assert list(world.identity._tokens) == [first]


async def test_a_failure_of_azure_is_explained_in_one_line(monkeypatch):
    """The message of azure-identity is on one line, with the settings to check."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    settings = azure_config().model_copy(update={"oauth_credential": "client-secret"})
    with pytest.raises(OAuthTokenError) as caught:
        await create_token_provider(settings).token()

    assert (
        f"no token for https://{NAMESPACE}/.default to the credential client-secret" in caught.value.sentence
    )
    assert "\n" not in caught.value.sentence


def test_the_scope_of_each_cloud():
    """The cloud follows from the namespace's name; a configured scope wins; without either, the scope is required."""
    china = "ns.servicebus.chinacloudapi.cn"

    assert azure_scope(azure_config(f"{china}:9093")) == (f"https://{china}/.default", "china")
    assert azure_scope(azure_config("kafka:9093", oauth_scope="api://x/.default")) == (
        "api://x/.default",
        "public",
    )
    with pytest.raises(SettingsError, match=r"kafka\.oauth_scope is required"):
        Connection(azure_config("kafka:9093"))

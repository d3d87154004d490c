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
    """Gives out tokens that are numbered, or refuses; the clock is its own."""

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


async def test_a_token_serves_until_most_of_its_life_is_over():
    """One token for all who ask at once, and for all later ones until a fifth of its life is left."""
    server = TokenServer()

    assert await asyncio.gather(*(server.provider.token() for _ in range(20))) == ["token 1"] * 20
    assert await server.at(79) == "token 1"
    assert await server.at(80) == "token 2"


async def test_a_token_serves_to_its_end_where_there_is_no_other():
    """Between its renewal and its end a token is used on; after that the reason why there is none is raised."""
    server = TokenServer()
    await server.at(0)
    server.failing = True

    assert await server.at(80) == "token 1"
    assert await server.at(99) == "token 1"
    with pytest.raises(OAuthTokenError, match="no"):
        await server.at(100)
    server.failing = False
    assert await server.at(300) == f"token {server.requests}"


async def test_whoever_refuses_is_not_asked_at_each_connection():
    """However often a connection is tried, a refusal is followed by a growing wait."""
    server = TokenServer()
    server.failing = True
    for tenths in range(6_000):
        with pytest.raises(OAuthTokenError):
            await server.at(tenths / 10)

    assert 10 <= server.requests <= 25


async def test_a_token_that_kafka_refuses_is_replaced_though_not_at_once():
    """It is used again for ten seconds, so that a circle of refusals does not reach whoever gives tokens out."""
    server = TokenServer(3600)
    await server.at(0)
    for second in range(40):
        await server.at(second)
        server.provider.reject()

    assert server.requests == 4


def oauth_config(url, name="us", secret=SECRET, **more):
    login = {"oauth_client_id": name, "oauth_client_secret": secret, "oauth_token_url": url}
    return KafkaConfig(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", **login, **more)


async def test_what_is_asked(authorization_server):
    """Our id and secret go as HTTP Basic, with what they hold of special signs; the scope goes in the form."""
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
    "a redirect": (respond_with(307, headers={"Location": NOT_HERE}), r"redirects .* does not get the client secret"),
    "a page": (respond_with(200, "<html>", content_type="text/html"), "answers without a token"),
    "no token in it": (respond_with(200, '{"expires_in": 3}'), "answers without a token"),
    "an echo": (respond_with(400, json.dumps({"error_description": SECRET})), "check kafka.oauth_client_id"),
    "a reset": (reset(), "cannot be reached"),
    "silence": (hang(3), "cannot be reached"),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_why_there_is_no_token(authorization_server, kind):
    """Each way of not giving a token has a sentence that names the cause, and never our secret."""
    fault, expected = REFUSALS[kind]
    if fault is not None:
        authorization_server.faults.add(fault)
    with pytest.raises(OAuthTokenError, match=expected) as caught:
        await create_token_provider(
            oauth_config(authorization_server.url), OAuthTiming(answer_seconds=1.0)
        ).token()

    assert SECRET not in caught.value.sentence
    assert len(authorization_server.requests) == 1


async def test_nobody_there_to_give_tokens():
    """An address where nobody listens is named."""
    with pytest.raises(OAuthTokenError, match=f"{NOT_HERE} cannot be reached"):
        await create_token_provider(oauth_config(NOT_HERE)).token()


@given(st.one_of(st.none(), st.booleans(), st.text(), st.floats(), st.integers(), st.lists(st.integers())))
def test_a_life_that_makes_no_sense_is_short(told):
    """Whatever is said of a token's life, it is more than nothing and no more than a day."""
    body = json.dumps({"access_token": "t", "expires_in": told}).encode()
    try:
        token = parse_token_response(oauth_config(NOT_HERE), 200, body)
    except OAuthTokenError:  # NaN and the like are no JSON
        return
    assert 0 < token.lifetime_seconds <= 86_400


@given(st.binary(), st.integers(100, 599))
def test_no_answer_is_a_defect(content, status):
    """Any bytes under any status are a token or a reason why there is none."""
    with contextlib.suppress(OAuthTokenError):
        parse_token_response(oauth_config(NOT_HERE), status, content)


def azure_config(bootstrap=f"{NAMESPACE}:9093", **more):
    login = {"sasl_mechanism": "OAUTHBEARER", "oauth_credential": "managed-identity"}
    return KafkaConfig(
        bootstrap=bootstrap, profile="event-hubs", security_protocol="SASL_SSL", **login, **more
    )


async def test_a_token_of_azure_is_for_the_namespace(monkeypatch):
    """With a credential of Azure's the token is asked for the Event Hubs namespace in kafka.bootstrap."""
    async with AzureWorld() as world:
        for name, value in world.environment("managed-identity").items():
            monkeypatch.setenv(name, value)
        token = await create_token_provider(azure_config()).token()

        assert world.identity._tokens[token].audience == f"https://{NAMESPACE}"


async def test_a_clock_that_is_days_ahead_costs_no_token(monkeypatch):
    """To it each token of Azure has ended long ago; a new one for each connection would be as old."""
    async with AzureWorld() as world:
        for name, value in world.environment("managed-identity").items():
            monkeypatch.setenv(name, value)
        found = create_token_provider(azure_config(), wall_clock=lambda: time.time() + 2 * 86_400)
        first = await found.token()

        assert await found.token() == first
        assert list(world.identity._tokens) == [first]


async def test_why_azure_gives_no_token(monkeypatch):
    """What azure-identity says stands in one line, with the settings to look at."""
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
    """The cloud follows from the namespace's name; a scope of one's own wins; without either, it is asked for."""
    china = "ns.servicebus.chinacloudapi.cn"

    assert azure_scope(azure_config(f"{china}:9093")) == (f"https://{china}/.default", "china")
    assert azure_scope(azure_config("kafka:9093", oauth_scope="api://x/.default")) == (
        "api://x/.default",
        "public",
    )
    with pytest.raises(SettingsError, match=r"kafka\.oauth_scope is required"):
        Connection(azure_config("kafka:9093"))

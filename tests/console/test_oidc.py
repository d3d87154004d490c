"""Signing in at an identity provider, and every answer of it that must not sign anybody in."""

from dataclasses import replace

import pytest
from joserfc.jwk import RSAKey
from pydantic import ValidationError

from console.oidc import RoleMissingError
from console.oidc_provider import OidcError
from console.permissions import AccessRole
from relay.config.console import ConsoleConfig
from tests.support.console import ORIGIN, TOKEN, open_console
from tests.support.oidc import CLIENT_ID, ISSUER, MemoryProvider, now_ms

KEY = RSAKey.generate_key(2048, {"kid": "one"})


@pytest.fixture
def provider():
    return MemoryProvider(key=KEY)


async def signed_in(provider, answer=None, attempt=None, **fields):
    """Sign in at the provider; `answer` and `attempt` replace parts of what came back."""
    login = provider.login(**fields)
    url, begun = await login.begin(ORIGIN)
    found = provider.authorize(url) | (answer or {})
    return await login.finish(
        replace(begun, **(attempt or {})),
        {name: value for name, value in found.items() if value is not None},
        ORIGIN,
    )


@pytest.mark.parametrize(
    ("claims", "fields", "role"),
    [
        ({"roles": ["jira-relay-operator", "other"]}, {}, AccessRole.OPERATOR),
        ({"roles": ["jira-relay-viewer"]}, {}, AccessRole.VIEWER),
        ({"roles": "jira-relay-viewer jira-relay-operator"}, {}, AccessRole.OPERATOR),
        ({"realm_access": {"roles": ["soc"]}}, {"oidc_role_claim": "realm_access.roles"}, AccessRole.VIEWER),
        (
            {"https://x.example/groups": ["soc"]},
            {"oidc_role_claim": "https://x.example/groups"},
            AccessRole.VIEWER,
        ),
    ],
)
async def test_a_person_has_the_name_and_the_role_of_the_claims(provider, claims, fields, role):
    """The claim may be a list or a text, and be within an object or have dots in its name."""
    provider.claims = {"email": "anna@example.com", **claims}
    viewers = ("jira-relay-viewer", "soc")
    person = await signed_in(provider, oidc_viewer_roles=viewers, **fields)
    assert (person.name, person.role) == ("anna@example.com", role)


@pytest.mark.parametrize(
    "roles", [None, [], ["other"], {"jira-relay-operator": 1}, 7, [["jira-relay-operator"]]]
)
async def test_a_person_without_a_role_is_refused(provider, roles):
    """The sentence names the claim and the values that it may have."""
    provider.claims = {"email": "anna@example.com", "roles": roles}
    with pytest.raises(
        RoleMissingError, match="roles must have one of: jira-relay-viewer, jira-relay-operator"
    ):
        await signed_in(provider)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other-client"},
        {"aud": ["other-client"], "azp": CLIENT_ID},
        {"aud": [CLIENT_ID, "other-client"], "azp": "other-client"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"nonce": "other"},
        {"nonce": None},
        {"sub": None},
        {"exp": None},
        {"exp": now_ms() // 1000 - 3600},
        {"iat": now_ms() // 1000 + 3600},
        {"nbf": now_ms() // 1000 + 3600},
        {"exp": "soon"},
    ],
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(provider, changes):
    """Another audience, issuer, nonce or time, or none of them."""
    provider.changes = changes
    with pytest.raises(OidcError, match="id token is not accepted"):
        await signed_in(provider)


@pytest.mark.parametrize("seconds", [-50, 50])
async def test_clocks_may_differ_by_a_minute(provider, seconds):
    """A token that has just ended, or begins in a moment, is accepted."""
    now = now_ms() // 1000 + seconds
    provider.changes = {"iat": now, "exp": now + 1} if seconds < 0 else {"iat": now, "nbf": now}
    assert (await signed_in(provider)).role == AccessRole.OPERATOR


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_a_signature_that_others_can_make_is_refused(provider, algorithm):
    """No signature, or one by the provider's public key."""
    provider.algorithm = algorithm
    provider.metadata = {"id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]}
    with pytest.raises(OidcError, match="id token is not accepted"):
        await signed_in(provider)


async def test_a_new_key_is_asked_for_and_a_foreign_one_is_refused(provider):
    """The provider may change its keys at any time."""
    login = provider.login()
    for kid in ("one", "two"):
        provider.key = RSAKey.generate_key(2048, {"kid": kid})
        url, begun = await login.begin(ORIGIN)
        assert (await login.finish(begun, provider.authorize(url), ORIGIN)).name == "anna@example.com"
    provider.signing_key = RSAKey.generate_key(2048, {"kid": "two"})
    url, begun = await login.begin(ORIGIN)
    with pytest.raises(OidcError, match="id token is not accepted"):
        await login.finish(begun, provider.authorize(url), ORIGIN)


@pytest.mark.parametrize(
    ("answer", "attempt", "reason"),
    [
        ({"state": "other"}, {}, "did not begin in this browser"),
        ({"state": None}, {}, "did not begin in this browser"),
        ({"state": "é"}, {}, "did not begin in this browser"),
        ({"iss": "https://evil.example"}, {}, "another identity provider"),
        ({"iss": None}, {}, "another identity provider"),
        ({"error": "access_denied", "error_description": "No <b>"}, {}, "access_denied No <b>"),
        ({"code": "stolen"}, {}, "invalid_grant"),
        ({"code": None}, {}, "invalid_grant"),
        ({}, {"verifier": "v" * 64}, "invalid_grant"),
    ],
)
async def test_an_answer_of_another_sign_in_is_refused(provider, answer, attempt, reason):
    """The state, the issuer and the proof of the code bind the answer to this browser and this provider."""
    with pytest.raises(OidcError, match=reason):
        await signed_in(provider, answer, attempt)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://login.example/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": 7},
    ],
)
async def test_metadata_of_another_or_without_tls_is_refused(provider, metadata):
    """The client secret and the keys travel to and from the provider that is set, encrypted."""
    provider.metadata = metadata
    with pytest.raises(OidcError, match="identity provider"):
        await signed_in(provider)


async def test_a_person_signs_in_by_pages_and_out_again(provider):
    """The cookie has the role, the history the name, and the way out ends at the provider too."""
    provider.claims["roles"] = ["jira-relay-viewer"]
    async with open_console(oidc=provider.login()) as console:
        console.show()
        console.clock.ms = now_ms()
        assert "/login/provider" in await console.page("/login")
        begun = await console.client.get("/login/provider")
        assert begun.headers["location"].startswith(f"{ISSUER}/authorize?")
        answer = provider.authorize(begun.headers["location"])
        done = await console.client.get("/login/callback", params=answer)
        assert (done.status_code, done.headers["location"]) == (303, "/"), done.text
        assert "Signed in as anna@example.com (console)" in await console.page("/")
        refused = await console.client.post("/organization/state", data=await console.form("/"))
        assert refused.status_code == 403
        again = await console.client.get("/login/callback", params=answer)
        assert "did not begin in this browser" in again.text
        left = await console.client.post("/sign-out", data=await console.form("/"))
        assert left.headers["location"] == "/login?left"
        assert f"{ISSUER}/end?client_id=jira-relay&amp;post_logout_redirect_uri=" in await console.page(
            "/login?left"
        )
        assert (await console.client.get("/")).headers["location"] == "/login"


async def test_a_sign_in_that_began_elsewhere_or_long_ago_signs_nobody_in(provider):
    """Somebody who sends a person a link to the callback does not sign the person in as somebody else."""
    async with open_console(oidc=provider.login()) as console:
        console.clock.ms = now_ms()
        begun = await console.client.get("/login/provider")
        answer = provider.authorize(begun.headers["location"])
        kept = dict(console.client.cookies)
        console.client.cookies.clear()
        response = await console.client.get("/login/callback", params=answer)
        assert (response.status_code, "did not begin in this browser" in response.text) == (403, True)
        console.client.cookies.update(kept)
        console.clock.ms += 660_000
        response = await console.client.get("/login/callback", params=answer)
        assert "older than ten minutes" in response.text


async def test_refused_sign_ins_are_slowed_down(provider):
    """Each refused answer may have cost a request to the provider."""
    async with open_console(oidc=provider.login()) as console:
        console.clock.ms = now_ms()
        for _ in range(20):
            begun = await console.client.get("/login/provider")
            answer = {**provider.authorize(begun.headers["location"]), "error": "access_denied"}
            assert (await console.client.get("/login/callback", params=answer)).status_code == 403
        assert (await console.client.get("/login/callback?state=x")).status_code == 429


async def test_answers_that_nobody_asked_for_keep_no_person_out(provider):
    """They cost the provider nothing, and anybody behind the same proxy could send them."""
    async with open_console(oidc=provider.login()) as console:
        console.clock.ms = now_ms()
        for _ in range(60):
            assert (await console.client.get("/login/callback?state=x")).status_code == 403
        begun = await console.client.get("/login/provider")
        answer = provider.authorize(begun.headers["location"])
        signed_in = await console.client.get("/login/callback", params=answer)
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/")


async def test_a_provider_that_is_away_is_named_and_the_token_still_signs_in(provider):
    """The page says what cannot be reached."""
    provider.fails = True
    async with open_console(oidc=provider.login()) as console:
        console.show()
        response = await console.client.get("/login/provider")
        assert (response.status_code, "cannot be reached" in response.text) == (502, True)
        assert ISSUER in response.text
        await console.client.post("/login", data={"token": TOKEN, "name": "Anna"})
        # A typed name is nobody's proof, beside names that a provider proves.
        assert "Signed in as Anna (console, by token)" in await console.page("/")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"oidc_issuer": ISSUER}, "oidc_client_id"),
        ({"oidc_issuer": ISSUER, "oidc_client_id": "x"}, "oidc_client_secret_file"),
        ({"oidc_issuer": "http://login.example"}, "https"),
        ({"listen": "0.0.0.0:8080"}, "oidc_issuer"),
    ],
)
def test_settings_that_cannot_sign_anybody_in_are_refused(fields, reason):
    """The sentence names what is missing."""
    with pytest.raises(ValidationError, match=reason):
        ConsoleConfig(**fields)

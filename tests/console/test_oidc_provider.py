"""Signing in at a real identity provider."""

import pytest
from pydantic import SecretStr

from console.oidc import OidcLogin
from console.oidc_provider import OidcError, ProviderClient
from console.permissions import AccessRole
from relay.config.console import ConsoleConfig
from tests.support.console import ORIGIN, open_console
from tests.support.oidc import now_ms
from tests.support.oidc_provider import running_provider, sign_in

CALLBACK = f"{ORIGIN}/login/callback"


def login_at(issuer, client_id="jira-relay"):
    config = ConsoleConfig(
        oidc_issuer=issuer,
        oidc_client_id=client_id,
        oidc_client_secret=SecretStr(f"secret of {client_id}"),
        oidc_scope="openid",
    )
    return OidcLogin(config, ProviderClient(config, now_ms), now_ms)


async def test_people_sign_in_at_a_certified_provider():
    """Each has the name and the role that the provider gives; an id token for another client is refused."""
    async with running_provider(CALLBACK) as issuer:
        login = login_at(issuer)
        async with open_console(oidc=login) as console:
            console.show()
            console.clock.ms = now_ms()
            for person, role in (("anna", AccessRole.OPERATOR), ("vera", AccessRole.VIEWER)):
                begun = await console.client.get("/login/provider")
                answer = await sign_in(begun.headers["location"], person, CALLBACK)
                done = await console.client.get("/login/callback", params=answer)
                assert (done.status_code, done.headers.get("location")) == (303, "/"), done.text
                assert f"Signed in as {person}@example.com (console)" in await console.page("/")
                add = await console.client.get("/organizations/add")
                assert add.status_code == (200 if role == AccessRole.OPERATOR else 403)
            left = await console.client.post("/sign-out", data=await console.form("/"))
            assert f"{issuer}/session/end?" in await console.page(left.headers["location"])
        await login.close()

        other = login_at(issuer, "other-client")
        url, begun = await other.begin(ORIGIN)
        answer = await sign_in(url, "anna", CALLBACK)
        other._config = login_at(
            issuer
        )._config  # the provider answers the other client; the console is this one
        with pytest.raises(OidcError, match="id token is not accepted"):
            await other.finish(begun, answer, ORIGIN)
        await other.close()

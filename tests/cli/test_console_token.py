"""The token of a console: that of the settings, that of its directory, or the secret at the identity provider."""

import pytest

from cli.console_token import find_token
from console.auth import Access
from management.settings import load
from relay.errors import SettingsError

OIDC = {
    "RELAY_CONSOLE__OIDC_ISSUER": "https://login.example",
    "RELAY_CONSOLE__OIDC_CLIENT_ID": "jira-relay",
    "RELAY_CONSOLE__OIDC_CLIENT_SECRET": "secret-of-the-client",
}


def test_the_secret_at_the_identity_provider_makes_keys_and_signs_nobody_in():
    """All consoles have it, so they share sessions; its readers have no login here."""
    found = find_token(load(environ=OIDC), None, on_terminal=False)
    access = Access(found.text, has_token=found.signs_in)

    assert not found.signs_in
    assert not access.accepts("secret-of-the-client")
    cookie = Access(found.text).sign_in("Anna", 0)
    assert access.session(cookie, 1).who == "Anna"


def test_a_token_signs_in_beside_the_identity_provider():
    """It is for days on which the provider is away."""
    token = "token-of-the-console"
    found = find_token(load(environ=OIDC | {"RELAY_CONSOLE__TOKEN": token}), None, on_terminal=False)
    assert (found.text, found.signs_in) == (token, True)


def test_a_console_without_a_login_is_refused(tmp_path):
    """With neither of them, and no terminal for a link, nobody could sign in; a directory keeps a token of its own."""
    with pytest.raises(SettingsError, match="no token, and no terminal"):
        find_token(load(environ={}), None, on_terminal=False)
    made = find_token(load(environ={}), tmp_path, on_terminal=False)
    assert find_token(load(environ={}), tmp_path, on_terminal=False) == made

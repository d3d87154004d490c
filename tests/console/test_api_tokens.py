"""Tokens of scripts: their file, their roles, their end."""

import pytest

from console.api_tokens import ApiTokenError, ApiTokens, add_to_file, make_token, parse_tokens
from console.permissions import AccessRole
from relay.errors import SettingsError
from relay.timestamps import DAY_MS
from tests.support.console import TOKEN, open_console
from tests.support.views import NOW

DIGEST = "0" * 64


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tokens.toml"


def added(file, name, role, days=30):
    token, entry = make_token(name, role, NOW, days)
    add_to_file(file, entry)
    return token


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_has_the_rights_of_its_role_and_its_own_name(file):
    """A viewer's token reads; an operator's changes too. Neither signs in to pages."""
    viewer, operator = (
        added(file, "dashboard", AccessRole.VIEWER),
        added(file, "terraform", AccessRole.OPERATOR),
    )
    async with open_console(api_tokens=ApiTokens(file)) as console:
        console.show()
        for token, code in ((viewer, 403), (operator, 404)):
            listed = await console.client.get("/api/v1/organizations", headers=bearer(token))
            paused = await console.client.post("/api/v1/destinations/x/pause", headers=bearer(token))
            assert (listed.status_code, paused.status_code) == (200, code)
            assert (await console.client.get("/", headers=bearer(token))).headers["location"] == "/login"
            assert (
                await console.client.post("/login", data={"token": token, "name": "x"})
            ).status_code == 403


async def test_a_script_with_an_old_token_keeps_no_other_script_out(file):
    """Behind a proxy all have one address. The token of the console has to wait."""
    token = added(file, "dashboard", AccessRole.VIEWER)
    async with open_console(api_tokens=ApiTokens(file)) as console:
        console.show()
        for _ in range(6):
            refused = await console.client.get("/api/v1/overview", headers=bearer("old"))
        assert refused.status_code == 429
        assert (await console.client.get("/api/v1/overview", headers=bearer(token))).status_code == 200
        assert (await console.client.get("/api/v1/overview", headers=bearer(TOKEN))).status_code == 429


async def test_the_token_of_the_console_needs_no_file_of_tokens(file):
    """Not while it is broken either."""
    added(file, "one", AccessRole.VIEWER)
    async with open_console(api_tokens=ApiTokens(file)) as console:
        console.show()
        file.write_text("[one")
        assert (await console.client.get("/api/v1/overview", headers=bearer(TOKEN))).status_code == 200


async def test_a_token_ends_on_its_day_and_when_it_is_deleted(file):
    """An expired token is named, so that its owner knows what to do; a deleted one is a wrong token."""
    token, kept = added(file, "one", AccessRole.VIEWER, days=2), added(file, "two", AccessRole.VIEWER)
    tokens = ApiTokens(file)

    assert tokens.find(token, NOW + 2 * DAY_MS).name == "one"
    with pytest.raises(ApiTokenError, match="The token one expired"):
        tokens.find(token, NOW + 3 * DAY_MS)
    text = file.read_text()
    file.write_text(text[text.index("[two]") :])
    assert tokens.find(token, NOW) is None
    assert tokens.find(kept, NOW).name == "two"


async def test_a_file_that_breaks_accepts_no_token_until_it_is_mended(file):
    """A token that was deleted must not come back with a file that cannot be read; a good file is taken up by itself."""
    token = added(file, "one", AccessRole.VIEWER)
    good = file.read_text()
    async with open_console(api_tokens=ApiTokens(file)) as console:
        console.show()

        async def status():
            response = await console.client.get("/api/v1/organizations", headers=bearer(token))
            return response.status_code

        assert await status() == 200
        for broken in ("[one", good.replace("viewer", "root"), good.replace("expires = 2", "expires = 9.2")):
            file.write_text(broken)
            assert [await status() for _ in range(7)] == [401] * 7  # and nobody is slowed down for it
        file.unlink()
        assert await status() == 401
        file.write_text(good)
        assert await status() == 200


def test_the_file_holds_no_token_and_each_name_once(file):
    """The file is of no use to its reader; a token is rotated by another name."""
    token = added(file, "one", AccessRole.OPERATOR)
    assert token not in file.read_text()
    before = file.read_text()
    file.chmod(0o640)
    added(file, "two", AccessRole.VIEWER)
    assert file.stat().st_mode & 0o777 == 0o640
    file.write_text(before)
    with pytest.raises(SettingsError, match="has a token one already"):
        added(file, "one", AccessRole.VIEWER)
    assert file.read_text() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a", "not TOML"),
        ("a = 1", "must have a name"),
        (f'[a]\nrole = "root"\nexpires = 2027-01-01\nsha256 = "{DIGEST}"', "viewer or operator"),
        (f'[a]\nrole = ["viewer"]\nexpires = 2027-01-01\nsha256 = "{DIGEST}"', "viewer or operator"),
        (f'[a]\nrole = "viewer"\nexpires = "soon"\nsha256 = "{DIGEST}"', "must be a day"),
        (f'[a]\nrole = "viewer"\nexpires = 2027-01-01T00:00:00Z\nsha256 = "{DIGEST}"', "must be a day"),
        ('[a]\nrole = "viewer"\nexpires = 2027-01-01\nsha256 = "secret"', "64 digits"),
        (f'["a b"]\nrole = "viewer"\nexpires = 2027-01-01\nsha256 = "{DIGEST}"', "must have a name"),
        (f'[a]\nrole = "viewer"\nsha256 = "{DIGEST}"', "must have a name"),
        (
            "\n".join(
                f'[{name}]\nrole = "viewer"\nexpires = 2027-01-01\nsha256 = "{DIGEST}"' for name in ("a", "b")
            ),
            r"\[a\] and \[b\] have one sha256",
        ),
    ],
)
def test_a_wrong_file_is_refused(text, reason):
    """Each sentence names the table and the form that is allowed, and repeats no secret."""
    with pytest.raises(SettingsError, match=reason) as error:
        parse_tokens(text)
    assert "secret" not in str(error.value)

"""Signing in and out, by HTTP."""

from console.auth import SESSION_MS
from tests.support.console import TOKEN


async def test_the_token_signs_a_person_in_and_out(console):
    """The page names the person; after signing out the login is back."""
    console.show()
    await console.sign_in("Anna Example")

    assert "Signed in as Anna Example (console)" in await console.page("/")
    form = await console.form("/")
    assert (await console.client.post("/sign-out", data=form)).headers["location"] == "/login"
    assert (await console.client.get("/")).headers["location"] == "/login"


async def test_a_session_ends_by_itself(console):
    """After twelve hours the page leads to the login."""
    console.show()
    await console.sign_in()
    console.clock.ms += SESSION_MS

    assert (await console.client.get("/")).headers["location"] == "/login"


async def test_wrong_tokens_are_slowed_down(console):
    """After five wrong tokens in a minute even the right one has to wait, and then signs in."""
    for _ in range(5):
        response = await console.client.post("/login", data={"token": "wrong", "name": "Anna"})
        assert response.status_code == 403
        assert "The token is wrong." in response.text
    response = await console.client.post("/login", data={"token": TOKEN, "name": "Anna"})
    assert (response.status_code, response.headers["retry-after"]) == (429, "60")
    console.clock.ms += 60_000

    await console.sign_in()


async def test_a_name_is_needed_for_the_history_of_changes(console):
    """Without a name nobody is signed in, and the token is not shown again."""
    response = await console.client.post("/login", data={"token": TOKEN, "name": "\x1b"})

    assert response.status_code == 422
    assert TOKEN not in response.text
    assert "set-cookie" not in response.headers


async def test_a_link_signs_in_once_in_the_name_of_its_operator(console):
    """The second use of a link shows the login; a preview of it, as of a chat, uses nothing up."""
    console.show()
    code = console.context.access.make_link_code(console.clock.ms)

    preview = await console.client.head(f"/login?code={code}")
    assert (preview.status_code, "set-cookie" in preview.headers) == (200, False)
    assert (await console.client.get(f"/login?code={code}")).headers["location"] == "/"
    assert "Signed in as anna@host" in await console.page("/")
    console.client.cookies.clear()
    assert "has been used" in await console.page(f"/login?code={code}", 403)

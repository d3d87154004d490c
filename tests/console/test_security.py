"""Requests that no handler may see, and the headers of every answer."""

import httpx
import pytest
from starlette.routing import Route

from console.app import create_app
from console.pages import PAGES
from console.rendering import Pages
from tests.support.console import ORIGIN, TOKEN, open_console
from tests.support.views import organization

HOSTILE = '<script>alert("1")</script>'


def routes(console, method):
    pages = Pages(console.context)
    found = [route for page in PAGES for route in page(console.context, pages)]
    return [route.path for route in found if isinstance(route, Route) and method in route.methods]


async def test_every_page_needs_a_session(console):
    """Without a session each page leads to the login, and each form is refused."""
    for path in routes(console, "GET"):
        response = await console.client.get(path)
        assert path == "/login" or (response.status_code, response.headers["location"]) == (303, "/login")
    for path in routes(console, "POST"):
        response = await console.client.post(path, data={"name": "x"})
        assert response.status_code == 403 if path == "/login" else response.headers["location"] == "/login"


async def test_every_form_needs_the_token_of_its_session(console):
    """A form without the token, or with one of another session, changes nothing."""
    console.show([organization("acme")])
    await console.sign_in()
    foreign = await console.form("/organizations")
    console.client.cookies.clear()
    await console.sign_in()
    paths = [path for path in routes(console, "POST") if path != "/login"]

    assert len(paths) > 5
    for path in paths:
        for fields in ({}, {"form_token": ""}, foreign):
            response = await console.client.post(path, data=fields | {"name": "acme", "confirmation": "acme"})
            assert response.status_code == 403, path


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9090"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_change_from_another_site_is_refused(console, headers):
    """A request that another site sends is refused, also with a session and a form token."""
    console.show()
    await console.sign_in()
    form = await console.form("/organizations")

    assert (await console.client.post("/sign-out", data=form, headers=headers)).status_code == 403
    assert (await console.client.post("/sign-out", data=form, headers={"Origin": ORIGIN})).status_code == 303


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:8080.evil.example", ""])
async def test_another_host_is_refused(console, host):
    """A name that someone else's DNS leads here is not answered."""
    response = await console.client.get("/login", headers={"Host": host})

    assert response.status_code == 421
    assert TOKEN not in response.text


async def test_every_answer_has_the_headers(console):
    """Pages, refusals, redirects and files allow no script but the console's own, and no frame."""
    console.show()
    for path in ("/", "/login", "/static/console.css", "/nothing"):
        headers = (await console.client.get(path)).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


async def test_pages_have_no_inline_script_and_no_external_resource(console):
    """Nothing in a page needs what the policy refuses."""
    console.show([organization("acme")])
    await console.sign_in()
    for path in ("/", "/organizations", "/organizations/add", "/organization?name=acme", "/destinations"):
        text = await console.page(path)
        assert "<style" not in text
        assert " style=" not in text
        assert " onclick=" not in text
        assert "javascript:" not in text
        assert text.count("<script") == text.count('<script src="/static/')
        assert 'src="http' not in text


async def test_names_and_reasons_are_shown_as_text(console):
    """Markup in a name, a URL's answer or a reason is not markup of the page."""
    hostile = organization(HOSTILE, user=HOSTILE)
    console.show([hostile], failure=HOSTILE)
    await console.sign_in()
    for path in ("/", "/organizations", f"/organization?name={httpx.QueryParams({'n': HOSTILE})['n']}"):
        text = await console.page(path)
        assert HOSTILE not in text
        assert "&lt;script&gt;" in text
    assert HOSTILE not in await console.page(f"/organizations?q={HOSTILE}&state={HOSTILE}&sort={HOSTILE}")


@pytest.mark.parametrize("field", ["token", "name", "other"])
async def test_a_charset_that_makes_no_text_is_a_wrong_token(console, field):
    """A multipart form chooses its charset; what it makes cannot always be encoded again."""
    parts = {"token": "x", "name": "ann"} | {field: r"\ud800"}
    body = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{each}"\r\n\r\n{text}\r\n'
        for each, text in parts.items()
    )
    response = await console.client.post(
        "/login",
        content=f"{body}--b--\r\n".encode(),
        headers={"Content-Type": "multipart/form-data; boundary=b; charset=unicode_escape", "Origin": ORIGIN},
    )
    assert response.status_code == 403
    assert "The token is wrong" in response.text


async def test_a_large_request_is_refused(console):
    """A body over 256 KB is refused, whether it says so or not."""

    async def chunks():
        for _ in range(300):
            yield b"x" * 1024

    await console.sign_in()

    assert (await console.client.post("/login", content=b"x" * 300_000)).status_code == 413
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await console.client.post("/login", content=chunks(), headers=headers)).status_code == 413


async def test_a_live_page_without_session_loads_the_login(console):
    """A part of a page that is asked for after the session's end makes the browser load the page again."""
    response = await console.client.get("/", headers={"HX-Request": "true"})

    assert (response.status_code, response.headers["hx-refresh"]) == (401, "true")


async def test_a_console_behind_https_has_a_secure_cookie():
    """The cookie is bound to the host and to https, and browsers then use https alone."""
    async with open_console(origins=frozenset({"https://relay.example"}), secure=True) as console:
        transport = httpx.ASGITransport(create_app(console.context))
        async with httpx.AsyncClient(transport=transport, base_url="https://relay.example") as client:
            response = await client.post("/login", data={"token": TOKEN, "name": "Anna"})

        cookie = response.headers["set-cookie"]
        assert cookie.startswith("__Host-jira-relay=")
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
        assert response.headers["strict-transport-security"]


@pytest.mark.parametrize("kind", ["data", "files"])
async def test_a_form_of_too_many_fields_is_refused(console, kind):
    """Both ways of sending a form have the bound."""
    fields = {f"field-{number}": "x" if kind == "data" else (None, "x") for number in range(6)}
    response = await console.client.post("/login", headers={"Origin": ORIGIN}, **{kind: fields})
    assert response.status_code == 400

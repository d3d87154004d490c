"""Answers that no handler gives: pages of the console, each with a way back."""

import asyncio

import pytest

from console.permissions import AccessRole
from tests.support.console import ORIGIN

OVERVIEW = '<a href="/">'


async def refused(console, status, method="GET", path="/nothing", **options):
    response = await console.client.request(method, path, **options)
    assert response.status_code == status, response.text
    return response


async def test_every_refusal_is_a_page_with_a_way_back(console):
    """Whatever is wrong with a request, its answer has the navigation of the console, or leads to the login."""
    console.show()
    await console.sign_in()
    form = await console.form("/organizations")
    multipart = {"Content-Type": "multipart/form-data; boundary=b", "Origin": ORIGIN}
    many = {f"field{number}": "x" for number in range(200)}
    answers = [
        await refused(console, 404),
        await refused(console, 404, path="/static/nothing.css"),
        await refused(console, 405, "POST", "/organizations", data=form),
        await refused(console, 403, "POST", "/organization/state", data={"form_token": "old"}),
        await refused(console, 403, "POST", "/sign-out", data=form, headers={"Origin": "null"}),
        await refused(console, 413, "POST", "/sign-out", content=b"x" * 300_000),
        await refused(console, 400, "POST", "/organization/state", data=form | many),
        await refused(console, 400, "POST", "/organization/state", content=b"--b\r\n:x", headers=multipart),
        await refused(console, 421, path="/", headers={"Host": "evil.example"}),
    ]
    for response in answers:
        assert response.headers["content-type"].startswith("text/html"), response.text
        assert "<title>" in response.text
        assert response.status_code == 404 or 'tabindex="-1" autofocus' in response.text, response.text
        assert OVERVIEW in response.text or 'href="/login"' in response.text
    console.sign_in_as(AccessRole.VIEWER)
    assert OVERVIEW in (await refused(console, 403, path="/organizations/add")).text


async def test_a_defect_of_the_pages_themselves_is_answered(console, monkeypatch):
    """Where no page can be rendered, the person still reads the sentence."""

    def render(*_arguments, **_options):
        raise ZeroDivisionError("secret detail")

    console.show()
    await console.sign_in()
    console.client._transport.raise_app_exceptions = False
    monkeypatch.setattr("console.rendering.Pages.render", render)
    response = await refused(console, 500, path="/")
    assert "its log has the details" in response.text
    assert "secret detail" not in response.text


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/dead-letters", "text/html; charset=utf-8"), ("/api/v1/dead-letters", "application/problem+json")],
)
async def test_a_client_of_kafka_that_ends_a_reading_is_answered(console, monkeypatch, path, kind):
    """aiokafka cancels what waits for it when Kafka goes away; nobody cancelled the request, which needs an answer."""

    async def cancelled(*_arguments):
        raise asyncio.CancelledError

    console.show()
    await console.sign_in()
    for module in ("pages", "api"):
        monkeypatch.setattr(f"console.{module}.dead_letters.list_letters", cancelled)
    response = await refused(console, 503, path=path)
    assert response.headers["content-type"] == kind
    assert "The client of Kafka ended a request" in response.text


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/destinations"])
async def test_a_script_gets_no_page(console, path):
    """The API answers with problem documents alone."""
    await console.sign_in()
    response = await console.client.post(path, headers={"Origin": ORIGIN})
    assert response.headers["content-type"] == "application/problem+json"

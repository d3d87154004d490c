"""Requests that are slow, broken off or defective, and answers about what cannot be read."""

import asyncio
import socket
from dataclasses import replace

import pytest

from console.app import create_app
from console.context import ConsoleTiming
from console.security import _bounded
from console.server import open_socket, own_url
from management.organizations.store import StoredOrganizations
from management.organizations.validation import InputError
from relay.config.console import ConsoleConfig
from relay.kafka.publish_errors import PublishError
from tests.support.console import ORIGIN, TOKEN, open_console
from tests.support.views import organization

BEARER = {"Authorization": f"Bearer {TOKEN}"}
HOST = ORIGIN.removeprefix("http://")


async def answer_to(console, method, path, *messages, headers=()):
    """Send the messages of a request, then nothing more; return what the application answers."""
    waiting, sent = list(messages), []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "client": ("192.0.2.1", 50_000),
        "server": ("127.0.0.1", 8080),
        "headers": [(b"host", HOST.encode()), *headers],
    }

    async def receive():
        return waiting.pop(0) if waiting else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await create_app(console.context)(scope, receive, send)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent)


@pytest.mark.parametrize(
    ("method", "path", "content_type"),
    [
        ("POST", "/login", b"application/x-www-form-urlencoded"),
        ("PUT", "/api/v1/organizations/acme", b"application/json"),
    ],
)
async def test_a_body_that_does_not_arrive_has_an_end(method, path, content_type):
    """A client that sends its body byte by byte, or stops, occupies the console for a bounded time."""
    headers = [(b"content-type", content_type), (b"authorization", f"Bearer {TOKEN}".encode())]
    begun = {"type": "http.request", "body": b"{", "more_body": True}
    async with open_console(timing=ConsoleTiming(body_seconds=0.05)) as console, asyncio.timeout(120):
        console.show()
        status, body = await answer_to(console, method, path, begun, headers=headers)
    assert (status, b"did not arrive in time" in body) == (408, True)


async def test_a_client_that_goes_away_is_no_defect(console):
    """A browser that is closed while it sends a form leaves no traceback."""
    begun = {"type": "http.request", "body": b"token=", "more_body": True}
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    status, _ = await answer_to(
        console, "POST", "/login", begun, {"type": "http.disconnect"}, headers=headers
    )
    assert status == 408


async def test_the_deadline_is_that_of_the_body():
    """An answer that lasts waits for the end of its connection by the same function, without an end."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    bounded = _bounded(receive, 0.0)
    await bounded()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bounded(), 0.05)


@pytest.mark.parametrize("path", ["/api/v1/overview", "/overview"])
async def test_a_defect_is_answered_and_logged(console, monkeypatch, path):
    """A script gets a problem, a browser a line; neither gets the details."""
    monkeypatch.setattr("console.context.view_installation", _defect)
    console.show()
    await console.sign_in()
    transport = console.client._transport
    transport.raise_app_exceptions = False
    response = await console.client.get("/" if path == "/overview" else path)
    assert response.status_code == 500
    assert "its log has the details" in response.text
    assert "secret detail" not in response.text
    if path != "/api/v1/overview":
        assert '<a href="/">Overview</a>' in response.text


def _defect(*_arguments):
    raise ZeroDivisionError("secret detail")


@pytest.mark.parametrize(
    ("error", "denied"),
    [
        (InputError("The URL is no URL."), True),
        (InputError("acme.example: acme.example refuses the key."), True),
        (PublishError("The outcome of the change is unknown."), False),
    ],
)
async def test_a_form_denies_a_change_only_if_it_was_refused(console, monkeypatch, error, denied):
    """An answer of Kafka that was lost may follow a stored change, so the page does not say that nothing was changed."""

    async def add(*_arguments, **_options):
        raise error

    monkeypatch.setattr("console.pages.organization_changes.commands.add", add)
    console.show()
    await console.sign_in()
    fields = {"url": "https://acme.atlassian.net", "user": "anna@acme.example", "api_key": "key"}
    form = await console.form("/organizations/add")
    response = await console.client.post("/organizations/add", data=form | fields)
    assert str(error).removeprefix("acme.example: ") in response.text
    assert "acme.example: acme.example" not in response.text
    assert ("Nothing was changed." in response.text) == denied
    assert ("This was not confirmed." in response.text) != denied


async def test_an_organization_that_cannot_be_read_is_not_denied(console):
    """It exists: neither the API nor its page says that there is none."""
    stored = StoredOrganizations({}, {"acme": "The organization acme cannot be read."}, {})
    console.show()
    console.context.view.snapshot = replace(console.context.view.snapshot, organizations=stored)
    response = await console.client.get("/api/v1/organizations/acme", headers=BEARER)
    assert (response.status_code, response.json()["type"]) == (
        500,
        "urn:jira-audit-relay:problem:unreadable-organization",
    )
    await console.sign_in()
    assert "cannot be read" in await console.page("/organization?name=acme", 500)
    other = await console.client.get("/api/v1/organizations/other", headers=BEARER)
    assert other.json()["type"] == "urn:jira-audit-relay:problem:unknown-organization"


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Host": "evil.example"}, "foreign-host"),
        ({"Origin": "https://evil.example"}, "foreign-origin"),
        ({"Content-Length": "999999"}, "body-too-large"),
        ({"Authorization": "Bearer wrong"}, "unauthorized"),
    ],
)
async def test_every_refusal_of_the_api_is_a_problem(console, headers, kind):
    """A script reads the type, also where no handler was asked."""
    console.show([organization("acme")])
    response = await console.client.post("/api/v1/organizations/acme/pause", headers=BEARER | headers)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == f"urn:jira-audit-relay:problem:{kind}"


async def test_a_wrong_method_names_those_that_there_are(console):
    """The answer of 405 has the header that it must have."""
    response = await console.client.request("DELETE", "/api/v1/overview", headers=BEARER)
    assert (response.status_code, response.json()["type"]) == (
        405,
        "urn:jira-audit-relay:problem:method-not-allowed",
    )
    assert _methods(response) == {"GET", "HEAD"}
    response = await console.client.request("PATCH", "/api/v1/organizations/acme", headers=BEARER)
    assert _methods(response) == {"DELETE", "GET", "HEAD", "PUT"}


def _methods(response):
    return set(response.headers["allow"].split(", "))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_the_link_of_the_console_has_the_host_it_listens_on(host):
    """A link to 127.0.0.1 leads nowhere where only ::1 is served."""
    if host == "[::1]" and not socket.has_ipv6:
        pytest.skip("needs IPv6")
    config = ConsoleConfig(listen=f"{host}:0")
    with open_socket(config.listen) as listener:
        assert own_url(config, listener) == f"http://{host}:{listener.getsockname()[1]}"

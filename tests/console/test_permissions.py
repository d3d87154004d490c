"""Roles: every route has one, and a viewer changes nothing."""

import pytest

from console.api import API
from console.api.openapi import OPERATIONS
from console.pages import PAGES
from console.permissions import PERMISSIONS, AccessRole, route_keys, with_permissions
from console.rendering import Pages
from tests.support.console import ORIGIN
from tests.support.views import organization


def all_routes(console):
    pages = Pages(console.context)
    found = [route for page in PAGES for route in page(console.context, pages)]
    return found + [route for subject in API for route in subject(console.context)]


def address_of(key):
    """Return method and address of a key, with a name in the place of each parameter."""
    method, path = key.split(" ", 1)
    return method, path.replace("{name}", "acme").replace("{name}", "acme").replace("{id}", "1")


def keys_of(role):
    return sorted(key for key, needed in PERMISSIONS.items() if needed == role)


async def test_the_table_has_every_route_and_no_other(console):
    """A new route gets its role in the table; a route that is gone leaves it."""
    found = {key for route in all_routes(console) for key in route_keys(route)}
    assert found == PERMISSIONS.keys()


async def test_a_route_that_the_table_does_not_have_is_not_served(console, monkeypatch):
    """A forgotten role stops the console at its start, and opens nothing."""
    monkeypatch.delitem(PERMISSIONS, "GET /organizations")
    with pytest.raises(LookupError, match="GET /organizations"):
        with_permissions(all_routes(console), lambda *_: None)


async def test_whatever_changes_something_needs_an_operator():
    """No method that changes something is open to a viewer, but for leaving."""
    changing = {key for key in PERMISSIONS if not key.startswith("GET ")}
    assert {key for key in changing if PERMISSIONS[key] != AccessRole.OPERATOR} == {
        "POST /login",
        "POST /sign-out",
    }


async def test_a_viewer_is_refused_what_needs_an_operator(console):
    """Neither a session nor its form token helps; the answer names the role that is missing."""
    console.show([organization("acme")])
    console.sign_in_as(AccessRole.VIEWER)
    form = await console.form("/")
    for key in keys_of(AccessRole.OPERATOR):
        method, address = address_of(key)
        response = await console.client.request(
            method, address, data=form if method == "POST" else None, headers={"Origin": ORIGIN}
        )
        assert (key, response.status_code) == (key, 403)
        assert "needs the role operator" in response.text, key
        is_problem = response.headers["content-type"] == "application/problem+json"
        assert is_problem is address.startswith("/api/"), key


async def test_a_viewer_reads(console):
    """Reading needs no other role."""
    console.show([organization("acme")])
    console.sign_in_as(AccessRole.VIEWER)
    for key in keys_of(AccessRole.VIEWER):
        if key.startswith("GET "):
            response = await console.client.request(*address_of(key))
            assert response.status_code not in {401, 403}, key


async def test_without_a_session_there_is_nothing(console):
    """A page leads to the login, a call is refused."""
    for key in (key for key, role in PERMISSIONS.items() if role):
        method, address = address_of(key)
        response = await console.client.request(method, address)
        found = (response.status_code, response.headers.get("location"))
        assert (key, found) == (key, (401, None) if address.startswith("/api/") else (303, "/login"))


async def test_a_viewer_sees_no_button_that_is_refused(console):
    """The pages of a viewer have one form, and it signs out."""
    console.show([organization("acme")])
    console.sign_in_as(AccessRole.VIEWER)
    for page in ("/", "/organizations", "/organization?name=acme", "/destinations"):
        text = await console.page(page)
        assert text.count('method="post"') == 1, page
        assert "/organizations/add" not in text, page


async def test_every_call_of_the_api_is_described(console):
    """The OpenAPI document has the routes of the API, and no other."""
    assert OPERATIONS.keys() == {key for key in PERMISSIONS if " /api/v1/" in key}
    document = (await _as_viewer(console).client.get("/api/v1/openapi.json")).json()
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert len(described) == len(OPERATIONS)


def _as_viewer(console):
    console.sign_in_as(AccessRole.VIEWER)
    return console

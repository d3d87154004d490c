"""Forms and calls that change organizations, on a real Kafka and simulated Jira sites."""

import re
from urllib.parse import quote

import pytest

from producer.sources.catalogue import ProducerSettings, open_connection_test
from relay.kafka.topic_admin import create_missing_topics
from simulators.jira_cloud.world import JiraWorld
from tests.support.console import TOKEN, open_console
from tests.support.kafka import connection_to
from tests.support.organizations import read_change_log

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def world(kafka, prefix):
    """A console with a Kafka that has the topics, and two simulated sites."""
    connection = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(connection)
    async with JiraWorld(seed=1) as jira:
        sites = [await jira.add_site(name) for name in ("acme", "beta")]
        settings = ProducerSettings(gateway_url=jira.gateway_url)
        async with (
            open_connection_test(settings) as connection_test,
            open_console(connection, connection_test) as console,
        ):
            await console.sign_in()
            await console.context.view.refresh()
            yield console, *sites
            await console.context.view.close()


def etag_in(page):
    return re.search(r'name="etag" value="([^"]+)"', page)[1]


async def send(console, page, path, **fields):
    """Send the form of a page."""
    return await console.client.post(path, data=await console.form(page) | fields)


async def test_an_organization_is_added_modified_paused_and_deleted(world):
    """Each step shows its result, stores no key in a page, and is in the history under the person's name."""
    console, acme, _ = world
    fields = {"url": f"{acme.url}/jira/projects?page=2", "user": acme.user, "name": "acme"}
    add = "/organizations/add"

    refused = await send(console, add, add, **fields, api_key="wrong-key-123456")
    assert refused.status_code == 422
    assert "refuses user and API key" in refused.text
    assert "wrong-key-123456" not in refused.text
    added = await send(console, add, add, **fields, api_key=acme.token)
    assert added.headers["location"] == "/organization?name=acme"
    page = await console.page("/organization?name=acme")
    assert "acme: added." in page
    assert acme.url in page
    assert acme.token not in page
    again = await send(console, add, add, **(fields | {"name": "other"}), api_key=acme.token)
    assert again.status_code == 409
    assert '<a href="/organization?name=acme">Open acme</a>' in again.text

    modify = "/organization/modify"
    stored = {"name": "acme", "url": acme.url, "user": acme.user}
    page = await console.page(f"{modify}?name=acme")
    assert acme.token not in page
    stored["etag"] = etag_in(page)
    await send(console, f"{modify}?name=acme", modify, **stored, interval_seconds="120")
    assert "interval_seconds: none → 120" in await console.page("/organization?name=acme")
    stale = await send(console, f"{modify}?name=acme", modify, **stored, interval_seconds="60")
    assert stale.status_code == 409
    assert "Another operator changed acme" in stale.text

    page = await console.page("/organization?name=acme")
    state = {"name": "acme", "state": "paused", "etag": etag_in(page)}
    await send(console, add, "/organization/state", **state)
    assert "acme: paused." in await console.page("/organization?name=acme")

    delete = "/organization/delete"
    unconfirmed = await send(console, f"{delete}?name=acme", delete, name="acme", confirmation="acm")
    assert unconfirmed.status_code == 422
    deleted = await send(console, f"{delete}?name=acme", delete, name="acme", confirmation="acme")
    assert deleted.headers["location"] == "/organizations"
    assert "No organization has been added yet." in await console.page("/organizations")

    log = await read_change_log(console.context.connection)
    assert [(entry["what"], entry["who"]) for entry in log] == [
        (what, "Anna (console)") for what in ("added", "modified", "paused", "deleted")
    ]


async def test_a_connection_is_tested_again_from_its_page(world):
    """The next page says whether it works, and if not, why."""
    console, acme, _ = world
    add = "/organizations/add"
    await send(console, add, add, url=acme.url, user=acme.user, name="acme", api_key=acme.token)

    await send(console, add, "/organization/test", name="acme")
    page = await console.page("/organization?name=acme")
    assert "the audit log can be read" in page
    assert 'class="note good"' in page
    acme.access.revoke(acme.token)
    await send(console, add, "/organization/test", name="acme")
    page = await console.page("/organization?name=acme")
    assert "The connection does not work." in page
    assert 'class="note bad" role="alert"' in page


async def test_the_api_puts_an_organization_by_name(world):
    """The same request twice changes nothing; a stale entity tag and a wrong field are refused as problems."""
    console, acme, beta = world
    console.client.cookies.clear()
    name = "a%b?c#d"
    path = f"/api/v1/organizations/{quote(name, safe='')}"
    body = {"url": acme.url, "user": acme.user, "api_key": acme.token}

    async def call(method, path, **options):
        return await console.client.request(
            method, path, headers=BEARER | options.pop("headers", {}), **options
        )

    new = {"If-None-Match": "*"}
    assert (await call("PUT", path, json=body, headers=new)).status_code == 201
    exists = await call("PUT", path, json={"interval_seconds": 30}, headers=new)
    assert (exists.status_code, "exists already" in exists.json()["detail"]) == (409, True)
    assert (await call("PUT", path, json=body, headers={"If-None-Match": '"x"'})).status_code == 422
    assert (await call("PUT", path, json=body)).json()["what"] == "unchanged"
    shown = await call("GET", path)
    first = {"If-Match": shown.headers["etag"]}
    assert shown.json()["name"] == name
    assert acme.token not in shown.text
    changed = await call("PUT", path, json={"interval_seconds": 90}, headers=first)
    assert changed.json()["what"] == "modified"
    stale = await call("PUT", path, json={"interval_seconds": 30}, headers=first)
    assert (stale.status_code, stale.headers["content-type"]) == (409, "application/problem+json")
    wrong = await call("PUT", path, json={"urll": beta.url})
    assert (wrong.status_code, "'urll' is not a field" in wrong.json()["detail"]) == (422, True)
    twice = await call("PUT", "/api/v1/organizations/other", json=body)
    assert twice.status_code == 409
    assert (await call("POST", f"{path}/pause")).json()["what"] == "paused"
    assert (await call("POST", f"{path}/test")).json()["name"] == name
    listed = (await call("GET", "/api/v1/organizations")).json()
    assert [(each["name"], each["state"]) for each in listed] == [(name, "paused")]
    assert (await call("DELETE", path, headers=first)).status_code == 409
    assert (await call("DELETE", path)).json()["what"] == "deleted"
    assert (await call("GET", path)).status_code == 404
    console.clock.ms += 1
    assert (await call("PUT", path, json=body)).status_code == 201
    # The new organization is at the first revision again; it is another one.
    stale = await call("PUT", path, json={"interval_seconds": 30}, headers=first)
    assert (stale.status_code, stale.json()["type"]) == (409, "urn:jira-audit-relay:problem:stale-edit")

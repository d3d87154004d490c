"""The API without a Kafka: its login, its refusals, and what it shows of a snapshot."""

import asyncio
import json

import pytest

from console.api.answers import documents
from consumer.targets.target import Pause
from management.settings import load
from relay.status.model import HourCount
from tests.support.console import TOKEN, open_console
from tests.support.settings import SENTINEL
from tests.support.views import NOW, organization, status

BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def test_the_api_needs_the_token_or_a_session(console):
    """Without a login there is a problem document; a session of the pages serves too."""
    console.show()
    refused = await console.client.get("/api/v1/organizations")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.headers["content-type"] == "application/problem+json"
    for wrong in ("Bearer wrong", f"Basic {TOKEN}", "Bearer", TOKEN):
        response = await console.client.get("/api/v1/organizations", headers={"Authorization": wrong})
        assert response.status_code == 401
    assert (await console.client.get("/api/v1/organizations", headers=BEARER)).json() == []
    await console.sign_in()
    assert (await console.client.get("/api/v1/organizations")).json() == []


async def test_wrong_tokens_are_slowed_down(console):
    """The sixth attempt in a minute is refused, also with the right token."""
    for _ in range(5):
        await console.client.get("/api/v1/overview", headers={"Authorization": "Bearer wrong"})
    response = await console.client.get("/api/v1/overview", headers=BEARER)
    assert (response.status_code, response.headers["retry-after"]) == (429, "60")


async def test_the_bearer_token_signs_nobody_in_to_pages(console):
    """A token in a header opens the API alone."""
    console.show()
    assert (await console.client.get("/", headers=BEARER)).headers["location"] == "/login"


async def test_nothing_read_yet_is_not_an_empty_list(console):
    """Before the topics have been read, a list would say that there is nothing: it is refused, with the cause."""
    for path in ("organizations", "organizations/acme", "destinations", "overview"):
        response = await console.client.get(f"/api/v1/{path}", headers=BEARER)
        assert response.status_code == 503
    await console.context.view.refresh()
    response = await console.client.get("/api/v1/organizations", headers=BEARER)
    assert "127.0.0.1:1" in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"{", "application/json", "not valid JSON"),
        (b"[" * 100_000, "application/json", "not valid JSON"),
        (b"[]", "application/json", "must be a JSON object"),
        (b"{}", "text/plain", "must be JSON"),
        (b'{"test": 1}', "application/json", "test must be"),
        (b'{"url": 5}', "application/json", "url must be a text"),
        (b'{"interval_seconds": true}', "application/json", "whole number"),
        (b'{"api_key": "a", "api_key_ref": "file:a"}', "application/json", "keep one of them"),
        (b'{"key_expires": "soon"}', "application/json", "2026-12-31"),
        (b'{"api_key": "\\ud800"}', "application/json", "not text"),
    ],
)
async def test_a_body_that_cannot_be_meant_is_refused(console, body, content_type, reason):
    """Each refusal is a problem with a sentence, before Kafka is asked."""
    console.show()
    headers = BEARER | {"Content-Type": content_type}
    response = await console.client.put("/api/v1/organizations/acme", content=body, headers=headers)

    assert response.status_code == 422
    assert reason in response.json()["detail"]


@pytest.mark.parametrize("step", ["test", "pause", "resume"])
async def test_the_steps_of_an_organization_are_no_organizations(console, step):
    """No name has a slash, so `acme/pause` is the call that pauses acme, and by another method nothing."""
    console.show()
    for name in ("acme", "destination%2Fsoc"):
        for method in ("PUT", "GET", "DELETE"):
            response = await console.client.request(
                method, f"/api/v1/organizations/{name}/{step}", headers=BEARER
            )
            assert response.status_code == (405 if name == "acme" else 404), name


async def test_records_that_cannot_be_read_are_in_the_overview(console):
    """A script sees what the page shows: without causes, an unreadable record still needs an operator."""
    console.show(problems=("soc: its pause cannot be read.",))
    overview = (await console.client.get("/api/v1/overview", headers=BEARER)).json()

    assert (overview["problems"], overview["causes"]) == (["soc: its pause cannot be read."], [])


async def test_an_unknown_call_is_a_problem(console):
    """A path or method that the API does not have is answered as JSON."""
    for method, path in (("GET", "/api/v1/nothing"), ("PATCH", "/api/v1/organizations/acme")):
        response = await console.client.request(method, path, headers=BEARER)
        assert response.status_code in {404, 405}
        assert response.headers["content-type"] == "application/problem+json"


async def test_causes_and_destinations_are_those_of_the_pages():
    """The overview has the causes; a destination has its state and who paused it."""
    destinations = load(environ=SENTINEL).destinations
    async with open_console(destinations=destinations) as console:
        console.show(
            [organization("acme")],
            {"acme": status("failing", reason="acme: the key is wrong"), "destination/sentinel": status()},
            {"sentinel": Pause(NOW, "anna")},
        )
        causes = (await console.client.get("/api/v1/overview", headers=BEARER)).json()["causes"]
        assert [(each["severity"], each["state"], each["reason"]) for each in causes] == [
            ("failing", "failing", "the key is wrong"),
            (
                "notice",
                "paused",
                "paused by anna; a consumer still reports active: it follows within a minute, or its release knows no pause",
            ),
        ]
        shown = (await console.client.get("/api/v1/destinations/sentinel", headers=BEARER)).json()
        assert (shown["name"], shown["kind"], shown["state"]) == ("sentinel", "sentinel", "paused")
        unknown = await console.client.get("/api/v1/destinations/other", headers=BEARER)
        assert unknown.status_code == 404
        await console.sign_in()
        page = await console.page("/destinations")
        assert "paused by anna" in page
        assert "Resume" in page
        assert "No such destination" in await console.page("/destination?name=other", 404)


async def test_a_program_with_an_old_token_keeps_no_person_out(console):
    """Behind a proxy both have one address."""
    for _ in range(6):
        refused = await console.client.get("/api/v1/overview", headers={"Authorization": "Bearer old"})
    assert refused.status_code == 429
    await console.sign_in()
    assert (await console.client.get("/")).status_code == 200


@pytest.mark.parametrize("count", [0, 1, 45])
async def test_a_list_of_organizations_is_sent_piece_by_piece(console, count):
    """Ten thousand of them are 50 MB, and other requests go on between two pieces."""
    names = [f"site-{number:02}" for number in range(count)]
    console.show(
        [organization(name) for name in names],
        {name: status(counts=(HourCount(NOW, 1, 2, 3, 4),)) for name in names},
    )
    turns = 0

    async def take_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    answer = documents(view.document() for view in console.context.organizations())
    others = asyncio.create_task(take_turns())
    pieces = [piece async for piece in answer.body_iterator]
    others.cancel()
    assert turns >= count // 20
    answered = await console.client.get("/api/v1/organizations", headers=BEARER)
    assert answered.headers["content-type"] == "application/json"
    assert answered.json() == json.loads("".join(pieces))
    assert [each["name"] for each in answered.json()] == names
    if count:
        (hour,) = answered.json()[0]["status"]["counts"]
        assert hour == {
            "hour": "2026-09-21T14:13:20.000Z",
            "events": 1,
            "late": 2,
            "dead_letters": 3,
            "skipped": 4,
        }

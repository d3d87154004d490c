"""Replays and dead letters managed from the pages, on a real Kafka: what was counted is what starts."""

import re
from urllib.parse import urlencode

import pytest

from tests.support.console import TOKEN
from tests.support.console_operations import SECRET, open_operations
from tests.support.organizations import read_change_log

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PLAN = re.compile(r'name="plan" value="([^"]+)"')


@pytest.fixture
async def world(kafka, prefix):
    async with open_operations(kafka, prefix) as operations:
        yield operations


async def test_a_replay_is_counted_confirmed_once_and_ended(world):
    """Events that come between the plan and its confirmation are not in the job; a second click starts no second one."""
    await world.publish(range(30))
    asked = {"destination": "sentinel", "from": "2026-01-01", "organization": "acme"}
    planned = await world.send("/replays/start", "/replays/plan", asked)
    assert planned.status_code == 200, planned.text
    assert "15 events would be sent to sentinel. Nothing was sent." in planned.text
    assert "No consumer of sentinel runs now" in planned.text
    assert SECRET not in planned.text
    assert await world.jobs() == []

    await world.publish(range(30, 40))
    plan = {"plan": PLAN.search(planned.text)[1]}
    started = await world.send("/replays/start", "/replays/start", plan)
    (job,) = await world.jobs()
    assert started.headers["location"] == f"/replay?id={job.id}"
    assert sum(each.end - each.start for each in job.ranges) == 15
    assert job.requested_by == "Anna (console)"
    again = await world.send("/replays/start", "/replays/start", plan)
    assert again.headers["location"] == f"/replay?id={job.id}"
    assert "started already" in await world.console.page(f"/replay?id={job.id}")

    wish = {"id": job.id, "wish": "cancelled"}
    await world.send("/replays/start", "/replay/wish", wish)
    assert "is cancelled" in await world.console.page(f"/replay?id={job.id}")
    refused = await world.send("/replays/start", "/replay/wish", wish | {"wish": "running"})
    assert refused.headers["location"] == f"/replay?id={job.id}"
    assert "Start another one instead" in await world.console.page(f"/replay?id={job.id}")


async def test_scripts_start_replays_with_the_same_words(world):
    """A dry run shows numbers and no rows; the job is started, listed, paused and ended."""
    await world.publish(range(10))
    client, replays = world.console.client, "/api/v1/replays"
    asked = {"destination": "sentinel", "from": "2026-01-01", "rate": 5}
    counted = (await client.post(replays, json=asked | {"dry_run": True}, headers=BEARER)).json()
    assert (counted["events"], counted["by_organization"]) == (10, {"acme": 5, "umbra": 5})
    assert "rows" not in counted
    started = (await client.post(replays, json=asked, headers=BEARER)).json()
    (job,) = await world.jobs()
    assert (started["id"], job.rate) == (job.id, 5)
    for call, word in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        answer = await client.post(f"{replays}/{job.id}/{call}", headers=BEARER)
        assert (answer.status_code, answer.json()["wished"]) == (200, word)
    shown = (await client.get(f"{replays}/{job.id}", headers=BEARER)).json()
    assert (shown["wished"], len(shown["ranges"])) == ("cancelled", len(job.ranges))
    assert len((await client.get(replays, headers=BEARER)).json()["replays"]) == 1
    for path, body, status in (
        ("", {"destination": "sentinel"}, 422),
        ("", asked | {"destination": "other"}, 404),
        ("", asked | {"speed": 1}, 422),
        ("", asked | {"to_live": "maybe"}, 422),
        ("", asked | {"dry_run": None}, 422),
        ("/20260101-000000-0000/pause", {}, 404),
    ):
        refused = await client.post(replays + path, json=body, headers=BEARER)
        assert refused.status_code == status, refused.text
        assert refused.headers["content-type"] == "application/problem+json"


async def test_dead_letters_are_explained_and_hide_personal_data(world):
    """Letters of one reason are one row; what is personal is shown once the history has the name of the person who sees it."""
    console = world.console
    assert "No dead letter is open" in await console.page("/dead-letters")
    await world.write_letters()
    page = await console.page("/dead-letters")
    assert "5 dead letters: 5 open" in page
    assert "is &lt;odd&gt;" in page
    redrive = urlencode({"destination": "sentinel", "reason": "is <odd>"})
    assert f"/dead-letters/redrive?{redrive}" in page.replace("&amp;", "&")
    assert "There are no such dead letters" in await console.page("/dead-letters?reason=other")
    assert "5 dead letters" in await console.page("/dead-letters?organization=acme&state=")
    assert "state must be" in await console.page("/dead-letters?state=odd", 422)

    addresses = set(re.findall(r"/dead-letter\?at=([0-9]+%2F[0-9]+)", page))
    assert len(addresses) == 5
    for address in addresses:
        letter = await console.page(f"/dead-letter?at={address}")
        assert SECRET not in letter
        assert "record that I have seen it" in letter
    logged = await read_change_log(world.connection)
    assert [each for each in logged if "personal" in each["what"]] == []
    for address in addresses:
        shown = await world.send(
            "/dead-letters/redrive", "/dead-letter/reveal", {"at": address.replace("%2F", "/")}
        )
        assert SECRET in shown.text
        assert "shows that you have seen this" in shown.text
    views = [each for each in await read_change_log(world.connection) if "personal" in each["what"]]
    assert {(each["organization"], each["who"]) for each in views} == {("acme", "Anna (console)")}
    assert len({each["what"] for each in views}) == 5
    assert "acme/3" in " ".join(each["what"] for each in views)
    assert "does not exist" in await console.page("/dead-letter?at=0/999", 404)
    assert "PARTITION/OFFSET" in await console.page("/dead-letter?at=odd", 422)


async def test_open_letters_are_redriven_after_a_plan(world):
    """The plan names reasons, organizations and what stays open; its confirmation starts one job, and no second one meanwhile."""
    await world.write_letters()
    form = "/dead-letters/redrive"
    nothing = await world.send(form, f"{form}/plan", {"destination": "sentinel"})
    assert "The organization acme was deleted" in nothing.text
    assert "Nothing to redrive" in nothing.text
    asked = {"destination": "sentinel", "reason": "column", "organization": "acme"}
    planned = await world.send(form, f"{form}/plan", asked)
    assert "sentinel gets 4 events of dead letters again" in planned.text
    plan = {"plan": PLAN.search(planned.text)[1]}
    started = await world.send(form, form, plan)
    (job,) = await world.jobs()
    assert (job.content, job.reason, job.requested_by) == ("dead-letters", "column", "Anna (console)")
    assert started.headers["location"] == f"/replay?id={job.id}"
    assert (await world.send(form, form, plan)).headers["location"] == f"/replay?id={job.id}"
    other = await world.send(form, f"{form}/plan", asked)
    refused = await world.send(form, form, {"plan": PLAN.search(other.text)[1]})
    assert refused.status_code == 422
    assert f"The replay {job.id} redrives dead letters of sentinel already" in refused.text
    assert "sentinel gets 4 events" in refused.text
    swapped = await world.send(form, "/replays/start", plan)
    assert "not made by this console" in swapped.text
    assert len(await world.jobs()) == 1

    client, calls = world.console.client, "/api/v1/dead-letters"
    listed = (await client.get(f"{calls}?state=open&limit=2", headers=BEARER)).json()
    assert (len(listed["letters"]), listed["states"]["open"], len(listed["reasons"])) == (2, 5, 2)
    assert SECRET not in str(listed)
    counted = await client.post(
        f"{calls}/redrive", json={"organization": ["acme"], "dry_run": True}, headers=BEARER
    )
    assert [each["letters"] for each in counted.json()["replays"]] == [4]
    again = await client.post(f"{calls}/redrive", json={"organization": ["acme"]}, headers=BEARER)
    assert (again.status_code, "already" in again.json()["detail"]) == (422, True)
    for limit in (0, -1, 5000):
        assert (await client.get(f"{calls}?limit={limit}", headers=BEARER)).status_code == 422

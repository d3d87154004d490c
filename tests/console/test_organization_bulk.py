"""Several organizations at once, on a real Kafka and simulated Jira sites, and what the pages refuse without one."""

import re

import pytest

from management.organizations.bulk import BulkTiming, run_bulk
from producer.sources.catalogue import ProducerSettings, open_connection_test
from relay.kafka.topic_admin import create_missing_topics
from simulators.jira_cloud.world import JiraWorld
from tests.support.console import open_console
from tests.support.kafka import connection_to
from tests.support.organizations import read_change_log
from tests.support.views import organization, status

ROW = re.compile(
    r'name=[^"]*">([^<]*)</a></th><td><span class="state [a-z]*">([^<]*)</span></td><td class="reason">([^<]*)'
)


@pytest.fixture
async def world(kafka, prefix):
    """A console with a Kafka and three organizations, of which the key of the last is revoked at its site."""
    connection = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(connection)
    async with JiraWorld(seed=1) as jira:
        sites = {name: await jira.add_site(name) for name in ("acme", "beta", "gamma")}
        settings = ProducerSettings(gateway_url=jira.gateway_url)
        async with (
            open_connection_test(settings) as connection_test,
            open_console(connection, connection_test) as console,
        ):
            await console.sign_in()
            form = await console.form("/organizations/add")
            for name, site in sites.items():
                fields = {"url": site.url, "user": site.user, "name": name, "api_key": site.token}
                await console.client.post("/organizations/add", data=form | fields)
            sites["gamma"].access.revoke(sites["gamma"].token)
            yield console
            await console.context.view.close()


async def run(console, action, *names):
    """Send the confirmed form; return name, word and sentence of each result, and the page."""
    form = await console.form("/organizations/bulk")
    response = await console.client.post(
        "/organizations/bulk", data=form | {"action": action, "name": list(names)}
    )
    assert response.status_code == 200
    return {name: (word, why) for name, word, why in ROW.findall(response.text)}, response.text


async def test_each_result_is_named_and_one_failure_stops_no_other(world):
    """Test, pause twice, resume: the history has what was changed, under the person's name."""
    names = ("acme", "beta", "gamma")
    tested, page = await run(world, "test", *names)
    assert [tested[name][0] for name in names] == ["tested", "tested", "failed"]
    assert "the audit log can be read" in tested["acme"][1]
    assert "Done: 1 failed, 2 tested." in page

    paused, page = await run(world, "pause", "acme", "acme", "gamma", "nobody")
    assert {name: word for name, (word, _) in paused.items()} == {
        "acme": "paused",
        "gamma": "paused",
        "nobody": "failed",
    }
    assert "does not exist" in paused["nobody"][1]
    assert (await run(world, "pause", "acme", "beta"))[0]["acme"][0] == "unchanged"
    assert 'class="note good below"' in (await run(world, "resume", *names))[1]
    log = [
        (each["organization"], each["what"], each["who"])
        for each in await read_change_log(world.context.connection)
    ]
    assert sorted(log[3:]) == sorted(
        (name, what, "Anna (console)")
        for what, who in (("paused", names), ("resumed", names))
        for name in who
    )


async def test_after_the_time_no_organization_is_begun(world):
    """What was not begun is a result too."""
    outcomes = [
        each
        async for each in run_bulk(
            world.context.operator_for("anna"), ["acme", "beta"], "pause", BulkTiming(seconds=0)
        )
    ]
    assert {each.name for each in outcomes} == {"acme", "beta"}
    assert all("Not begun within 0 s" in each.reason for each in outcomes)


async def test_the_choice_is_that_of_the_table(console):
    """The list has the search and the filter of the table; all of it can be chosen with one link."""
    console.show(
        [organization(name) for name in ("acme", "beta", "gamma")],
        {"acme": status("failing", reason="x"), "beta": status("failing", reason="x"), "gamma": status()},
    )
    await console.sign_in()
    assert 'href="/organizations/bulk?state=failing"' in await console.page("/organizations?state=failing")
    page = await console.page("/organizations/bulk?state=failing")
    assert re.findall(r'type="checkbox" name="name" value="(\w+)"', page) == ["acme", "beta"]
    assert " checked" not in page
    assert (await console.page("/organizations/bulk?state=failing&all=1")).count(" checked") == 2


async def test_one_page_confirms_what_will_be_done(console):
    """It names the action and each organization; a choice of none is refused in words."""
    console.show([organization("acme"), organization("beta")])
    await console.sign_in()
    form = await console.form("/organizations/bulk")
    confirm = "/organizations/bulk/confirm"
    response = await console.client.post(confirm, data=form | {"action": "pause", "name": ["beta", "acme"]})
    assert "Pause 2 organizations?" in response.text
    assert re.findall(r'type="hidden" name="name" value="(\w+)"', response.text) == ["acme", "beta"]
    for fields in ({"action": "pause"}, {"action": "delete", "name": ["acme"]}, {"name": ["acme"]}):
        for path in (confirm, "/organizations/bulk"):
            refused = await console.client.post(path, data=form | fields)
            assert (refused.status_code, "Choose at least one" in refused.text) == (422, True)
    stale = await console.client.post(confirm, data={"form_token": "x", "action": "pause", "name": ["acme"]})
    assert stale.status_code == 403
    many = await console.client.post(
        confirm, data=form | {"action": "test", "name": [f"site-{number}" for number in range(500)]}
    )
    assert "Test 500 organizations?" in many.text
    assert "Nothing is changed. Each result is shown" in many.text


async def test_without_kafka_nothing_is_done_and_the_page_says_so(console):
    """The result has the cause, and the number that was not done."""
    console.show([organization("acme")])
    await console.sign_in()
    results, page = await run(console, "pause", "acme", "beta")
    assert results == {}
    assert "2 were not done" in page
    assert "<table" not in page
    assert "127.0.0.1:1" in page

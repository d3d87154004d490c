"""The pages and the API of events: what they hide, what they record, and what they say without a Kafka."""

import asyncio

import pytest

from console.long_reads import LongReads
from management.settings import load
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from tests.support.console import TOKEN, open_console
from tests.support.kafka import connection_to
from tests.support.messages import event
from tests.support.organizations import read_change_log
from tests.support.pipeline_world import to_record
from tests.support.settings import SENTINEL
from tests.support.views import organization

BEARER = {"Authorization": f"Bearer {TOKEN}"}
ADDRESS = "192.0.2.77"


@pytest.fixture
async def world(kafka, prefix):
    """A console with a Kafka that has three events of two organizations, and one destination."""
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    found = [
        event(1, summary="<b>User created</b>", remoteAddress=ADDRESS),
        event(2, summary="Group created"),
        event(3, organization="beta", summary="Project created", description=ADDRESS),
    ]
    topic = Topics(prefix).events
    producer = await TransactionalProducer.open(connection, f"{prefix}.test")
    await producer.publish([to_record(each, topic, 1) for each in found])
    await producer.discard()
    async with open_console(connection, destinations=load(environ=SENTINEL).destinations) as console:
        await console.sign_in()
        console.show()
        yield console


async def changes_of(console):
    return [
        (each["organization"], each["who"], each["what"])
        for each in await read_change_log(console.context.connection)
    ]


async def test_an_event_is_found_and_its_personal_data_is_behind_a_recorded_click(world):
    """The page has the record, its place and its delivery; the click is a change, and only then the data is shown."""
    found = await world.page("/events?id=acme.atlassian.net/1")
    assert "1 event found" in found
    assert "The whole range was read" in found
    assert "&lt;b&gt;User created&lt;/b&gt;" in found
    page = await world.page("/event?at=events/0/0")
    assert ADDRESS not in page
    for shown in (
        "acme.atlassian.net/1",
        "•••",
        f"<code>{world.context.connection.kafka.topic_prefix}.events</code>",
    ):
        assert shown in page
    assert ">not begun<" in page
    assert await changes_of(world) == []

    refused = await world.client.post("/event/reveal", data={"at": "events/0/0", "form_token": "x"})
    assert (refused.status_code, await changes_of(world)) == (403, [])
    form = await world.form("/event?at=events/0/0")
    revealed = await world.client.post("/event/reveal", data=form | {"at": "events/0/0"})
    assert ADDRESS in revealed.text
    assert await changes_of(world) == [
        ("acme.atlassian.net", "Anna (console)", "viewed personal data of acme.atlassian.net/1")
    ]
    world.context.changes._follower._read_at = None  # else a look less than a second ago counts as fresh
    assert "viewed personal data of acme.atlassian.net/1" in await world.page("/changes")


async def test_a_name_that_no_organization_has_is_named_with_the_nearest_ones(world):
    """Only where nothing was found: events of a deleted organization are still in Kafka. Without a view, nothing is claimed."""
    world.show([organization("acme.atlassian.net"), organization("other.atlassian.net")])
    unknown = "There is no organization acme.atlasian.net. The nearest names are acme.atlassian.net"
    assert unknown in await world.page("/events?organization=acme.atlasian.net")
    answer = await world.client.get("/api/v1/events?organization=acme.atlasian.net", headers=BEARER)
    assert answer.json()["problems"][0].startswith(unknown)
    for known in ("beta", "acme.atlassian.net"):  # the first one was deleted, and has events
        assert "There is no organization" not in await world.page(f"/events?organization={known}")
    assert "There is no organization nobody." in await world.page("/events/live?organization=nobody")
    assert "There is no organization" not in await world.page("/events/live?organization=ATLASSIAN")
    world.show(as_of=None)
    assert "There is no organization" not in await world.page("/events?organization=acme.atlasian.net")


async def test_a_search_in_personal_data_is_recorded_without_its_text(world):
    """The plain search does not find an address; the recorded one does, and shows none in its list."""
    page = await world.page(f"/events?text={ADDRESS}")
    assert "0 events found" in page
    form = await world.form(f"/events?text={ADDRESS}")
    found = await world.client.post("/events/search", data=form | {"text": ADDRESS})

    assert "2 events found" in found.text
    assert found.text.count(ADDRESS) == found.text.count(f'value="{ADDRESS}"')
    assert await changes_of(world) == [
        ("all organizations", "Anna (console)", "searched personal data of events of all organizations")
    ]


async def test_the_api_answers_as_the_pages_do(world):
    """Search, one event, and the call that reveals and records."""

    async def call(method, path):
        return await world.client.request(method, f"/api/v1/events{path}", headers=BEARER)

    listed = (await call("GET", "?organization=beta")).json()
    assert [each["uid"] for each in listed["events"]] == ["beta/3"]
    assert (listed["finished"], listed["place"]) == (True, None)
    address = listed["events"][0]["address"]
    shown = (await call("GET", f"/{address}")).json()
    assert (shown["event"]["description"], shown["destinations"][0]["state"]) == ("•••", "not begun")
    revealed = (await call("POST", f"/{address}/reveal")).json()
    assert revealed["event"]["description"] == ADDRESS
    assert [who for _, who, _ in await changes_of(world)] == ["API token (console)"]
    assert (await call("GET", "/events/0/99")).status_code == 404
    assert (await call("GET", "/nothing/0/1")).status_code == 422
    assert (await call("GET", "?id=x")).status_code == 422
    assert (await call("GET", "?place=x")).status_code == 422


async def test_the_live_tail_shows_the_newest_events(world):
    """With a filter, only those that match; a page of the tail is one request, and holds nothing open."""
    page = await world.page("/events/live")
    assert page.index("Project created") < page.index("Group created")
    assert 'hx-trigger="every 2s"' in page
    page = await world.page("/events/live?organization=BETA")
    assert "Project created" in page
    assert "Group created" not in page
    assert "None of the last 3 live events matches" in await world.page("/events/live?text=zzz")
    assert ADDRESS not in page


async def test_without_kafka_each_page_names_the_cause(console):
    """Search, event, reveal and tail answer; nothing personal is shown, since no click can be recorded."""
    await console.sign_in()
    for path in ("/events?id=1", "/event?at=events/0/0"):
        assert "127.0.0.1:1" in await console.page(path, 503)
    assert "127.0.0.1:1" in await console.page("/events/live")
    form = await console.form("/events")
    for path in ("/events/search", "/event/reveal"):
        response = await console.client.post(path, data=form | {"text": "a", "at": "events/0/0"})
        assert response.status_code == 503
    assert "must be TOPIC/PARTITION/OFFSET" in await console.page("/event?at=x", 422)
    assert "is no id of an event" in await console.page("/events?id=x", 422)


async def test_searches_are_among_the_few_long_reads_at_a_time():
    """A page, a call and the activity of an organization that get no place say so, and read nothing."""
    full = LongReads(0.01, asyncio.Semaphore(0))
    async with open_console(long_reads=full) as console:
        await console.sign_in()
        console.show([organization()])
        assert "Too many people read" in await console.page("/events?organization=acme", 503)
        found = await console.client.get("/api/v1/events?organization=acme", headers=BEARER)
        assert (found.status_code, "Too many" in found.json()["detail"]) == (503, True)
        activity = await console.page("/organization/activity?name=acme")
        assert activity.count("Too many people read") == 4

import asyncio
import json
import re
from contextlib import suppress

from simulators.jira_cloud.hostile import HOSTILE_STRINGS, make_hostile_record, make_mistyped_record
from simulators.jira_cloud.records import FIELDS, SUMMARIES, RecordGenerator
from simulators.jira_cloud.world import JiraWorld
from tests.support.jira_client import NOW, RECORDS, ManualClock, get_page, open_client, running_site

LITERALS = {
    "Global permission added",
    "User added to group",
    "User created",
    "Permission scheme updated",
    "User's password changed",
    "Project roles changed",
    "User removed from group",
    "User removed from project",
    "Workflow scheme copied",
    "Status updated",
    "Status created",
    "Project version released",
    "Project version created",
    "Project updated",
    "User updated",
    "Workflow scheme updated",
    "Workflow updated",
    "Workflow scheme added to project",
}
"""Values of EventMessage that Microsoft's rules and hunting queries look for."""
CATEGORIES = {"user management", "projects", "group management", "workflows", "permissions", "status"}
"""Values of EventCategoryType that Microsoft's workbook looks for."""
STRING, INTEGER = str, int
ITEM = {"id": STRING, "name": STRING, "typeName": STRING, "parentId": STRING, "parentName": STRING}
CHANGE = {"fieldName": STRING, "changedFrom": STRING, "changedTo": STRING}
RECORD = {
    "id": INTEGER,
    "summary": STRING,
    "remoteAddress": STRING,
    "authorKey": STRING,
    "authorAccountId": STRING,  # missing from the specification's schema, present in its example
    "created": STRING,
    "category": STRING,
    "eventSource": STRING,
    "description": STRING,
    "objectItem": ITEM,
    "changedValues": [CHANGE],
    "associatedItems": [ITEM],
}
PAGE = {"offset": INTEGER, "limit": INTEGER, "total": INTEGER, "records": [RECORD]}
"""AuditRecords of the OpenAPI specification: additionalProperties is false, no property is required."""


def assert_shape(value, shape, path="$"):
    if isinstance(shape, dict):
        assert isinstance(value, dict), path
        assert set(value) <= set(shape), f"{path}: {set(value) - set(shape)}"
        for name, inner in value.items():
            assert_shape(inner, shape[name], f"{path}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), path
        for number, inner in enumerate(value):
            assert_shape(inner, shape[0], f"{path}[{number}]")
    else:
        assert type(value) is shape, f"{path}: {value!r}"


async def test_pages_have_the_shape_of_the_specification():
    """Pages have only the names and types of the specification, in Jira's order, and its form of `created`."""
    async with running_site() as (site, client):
        for _ in range(300):
            site.add_record()
        site.create_project(created=NOW - 10_000)
        served = await get_page(client)
        assert_shape(served, PAGE)
        assert list(served) == ["offset", "limit", "total", "records"]
        for record in served["records"]:
            assert list(record) == [name for name in FIELDS if name in record]
            assert {"id", "summary", "created", "category", "eventSource", "objectItem"} <= set(record)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", record["created"])


async def test_errors_have_the_shape_of_the_specification():
    """The body of a 400 and of a 403 is an ErrorCollection."""
    async with running_site() as (site, client):
        site.quirks.free_plan = True
        refused = await client.get(RECORDS)
        site.quirks.free_plan = False
        invalid = await client.get(RECORDS, params={"from": "x"})
        for answer, status in ((refused, 403), (invalid, 400)):
            assert answer.status_code == status
            assert_shape(answer.json(), {"errorMessages": [STRING], "errors": {}, "status": INTEGER})


def test_records_have_every_value_that_microsofts_content_reads():
    """One round of the kinds has all 18 summaries, with the items, addresses and names that the rules read."""
    source = RecordGenerator("any")
    first = [source.generate() for _ in SUMMARIES]
    assert {record["summary"] for record in first} == set(SUMMARIES) >= LITERALS
    many = first + [source.generate() for _ in range(2000)]
    assert {record["category"] for record in many} >= CATEGORIES
    assert {record["objectItem"]["name"] for record in many} >= {"site-admins", "Blocked"}
    assert {record["objectItem"]["typeName"] for record in many} >= {"USER", "STATUS", "PROJECT", "WORKFLOW"}
    for record in many:
        if record["summary"] in ("User added to group", "User removed from group", "User's password changed"):
            assert record["associatedItems"][0]["typeName"] == "USER"
        if record["summary"] == "User's password changed":
            assert record["remoteAddress"]
    absent = [name for name in FIELDS if any(name not in record for record in many)]
    assert {"remoteAddress", "authorKey", "description", "changedValues", "associatedItems"} <= set(absent)
    assert any("id" not in record["objectItem"] for record in many)
    values = [change for record in many for change in record.get("changedValues", ())]
    assert any("changedFrom" not in value for value in values)
    assert {"", "null"} <= {value.get("changedTo") for value in values}


async def test_the_same_seed_makes_the_same_world():
    """The seed determines tokens, ids and records, which differ between sites."""

    async def world(seed):
        async with JiraWorld(seed, clock=ManualClock()) as jira:
            sites = [await jira.add_site(name) for name in ("acme", "globex")]
            for site in sites:
                site.add_history(30, 0, NOW)
                site.create_project()
            return jira.truth(), [(site.cloud_id, site.token, site.scoped_token) for site in sites]

    first, again, other = await world(1), await world(1), await world(2)
    assert first == again
    assert first != other
    (acme, globex), secrets = first[0].values(), first[1]
    assert acme != globex
    assert len({value for site in secrets for value in site}) == 6


async def test_hostile_records_are_served_unchanged():
    """Odd strings, a long value, nulls and fields of unknown names or types arrive as they were added."""
    async with running_site(first_id=2**31 + 5) as (site, client):
        sent = [
            site.add_record(make_hostile_record(site.record_generator)),
            site.add_record(make_mistyped_record(site.record_generator)),
        ]
        served = (await get_page(client))["records"]
        assert served == sent[::-1] == site.all_records()[::-1]
        assert served[0]["id"] > 2**31
        assert len(json.dumps(served)) > 100_000
        assert [change["fieldName"] for change in served[1]["changedValues"][: len(HOSTILE_STRINGS)]] == list(
            HOSTILE_STRINGS
        )


async def test_traffic_creates_records_until_it_is_cancelled():
    """Traffic adds records to all sites, among them late ones and whole projects."""
    async with JiraWorld(seed=1) as jira:
        sites = [await jira.add_site(name) for name in ("acme", "globex")]
        living = asyncio.create_task(
            jira.generate_traffic(2000, late_share=0.2, late_seconds=60, project_share=0.05)
        )
        async with asyncio.timeout(60), open_client(sites[0]) as client:
            while min(len(site.log) for site in sites) < 100 or not all(site.hidden for site in sites):
                await get_page(client, limit=1)
        assert not living.done()
        living.cancel()
        with suppress(asyncio.CancelledError):
            await living
        assert "Project created" in {
            record["summary"] for record in sites[0].all_records() + sites[1].all_records()
        }

import json

import httpx
import pytest

from tests.support.jira_client import (
    NOW,
    RECORDS,
    ManualClock,
    format_utc,
    get_ids,
    get_page,
    open_client,
    read_all_ids,
    running_site,
)


async def test_records_are_ordered_by_descending_id():
    """The order of records does not depend on `created`."""
    async with running_site() as (site, client):
        for record_id, created in ((5, 900), (9, 100), (2**40, 500), (7, 900)):
            site.add_record(record_id=record_id, created=NOW - created)
        assert await get_ids(client) == [2**40, 9, 7, 5]


async def test_both_bounds_are_inclusive_to_the_millisecond():
    """A record created at `from` or at `to` matches, and one a millisecond beyond does not."""
    async with running_site() as (site, client):
        site.add_record(record_id=1, created=NOW - 50)
        site.add_record(record_id=2, created=NOW)
        assert await get_ids(client, from_=format_utc(NOW - 50), to=format_utc(NOW)) == [2, 1]
        assert await get_ids(client, from_=format_utc(NOW - 49), to=format_utc(NOW)) == [2]
        assert await get_ids(client, from_=format_utc(NOW - 50), to=format_utc(NOW - 1)) == [1]
        assert await get_ids(client, from_=format_utc(NOW)) == [2]
        assert await get_ids(client, to=format_utc(NOW - 50)) == [1]


async def test_crossed_bounds_match_no_record():
    """`from` after `to` gets an empty 200, and so does `from` equal to `to`, unless the quirk is set."""
    async with running_site() as (site, client):
        site.add_record(record_id=1, created=NOW)
        assert await get_ids(client, from_=format_utc(NOW + 1), to=format_utc(NOW - 1)) == []
        assert await get_ids(client, from_=format_utc(NOW), to=format_utc(NOW)) == []
        site.quirks.equal_bounds_match = True
        assert await get_ids(client, from_=format_utc(NOW), to=format_utc(NOW)) == [1]


async def test_total_counts_all_visible_records():
    """`total` does not depend on from, to, filter, offset and limit."""
    async with running_site() as (site, client):
        site.add_records(5, created=NOW)
        for query in ({"from": format_utc(NOW + 5)}, {"filter": "zzz"}, {"offset": 99}, {"limit": 1}, {}):
            assert (await get_page(client, **query))["total"] == 5


async def test_an_offset_beyond_the_end_gets_an_empty_page():
    """An offset past the last record gets a 200 without records."""
    async with running_site() as (site, client):
        site.add_records(3)
        assert len(await get_ids(client, offset=2)) == 1
        assert await get_page(client, offset=3) == {"offset": 3, "limit": 1000, "total": 3, "records": []}
        assert await get_ids(client, offset=10_000) == []


async def test_a_page_has_at_most_a_thousand_records():
    """A larger limit is reduced; the answer has the limit used, or with a quirk the limit of the request."""
    async with running_site() as (site, client):
        site.add_records(1005, created=NOW)
        first = await get_page(client, limit=5000)
        assert (first["limit"], len(first["records"])) == (1000, 1000)
        assert len(await get_ids(client)) == 1000
        site.quirks.echo_clamped_limit = False
        assert (await get_page(client, limit=5000))["limit"] == 5000
        assert await get_page(client, limit=0) == {"offset": 0, "limit": 0, "total": 1005, "records": []}
        assert (
            len(await read_all_ids(client, limit=400, from_=format_utc(NOW - 1), to=format_utc(NOW))) == 1005
        )


async def test_a_short_page_can_have_followers():
    """With a cap on pages, further records follow a page that is shorter than its limit."""
    async with running_site() as (site, client):
        site.add_records(25)
        site.quirks.page_cap = 10
        assert len(await get_ids(client, limit=1000)) == 10
        assert len(await read_all_ids(client, limit=1000)) == 25


async def test_parameters_of_other_apis_are_ignored():
    """startAt and maxResults have no effect."""
    async with running_site() as (site, client):
        site.add_records(3)
        assert await get_ids(client, startAt=2, maxResults=1) == await get_ids(client)


@pytest.mark.parametrize("query", ["limit=many", "offset=1.5", "offset=99999999999", "limit="])
async def test_an_invalid_number_is_refused(query):
    """A limit or offset that is not a 32-bit integer gets a 400."""
    async with running_site() as (_, client):
        assert (await client.get(f"{RECORDS}?{query}")).status_code == 400


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-18T06:40:00.000Z",
        "2026-11-18T06:40:00Z",
        "2026-11-18T07:40:00.000+0100",
        "2026-11-18T07:40:00+01:00",
        "2026-11-18T06:40:00.000999Z",
    ],
)
async def test_dates_with_a_zone_are_understood_at_both_endpoints(text):
    """At site and gateway, every form of a date with a zone names the same instant."""
    async with running_site() as (site, client), gateway_client(site) as (other, path):
        site.add_record(record_id=1, created=1_795_027_200_000 - 43_200_000)
        at = site.all_records()[0]["created"]
        assert at == "2026-11-18T06:40:00.000+0000"
        for endpoint_client, endpoint_path in ((client, RECORDS), (other, path)):
            assert await get_ids(endpoint_client, endpoint_path, from_=text) == [1]


def gateway_client(site):
    """Return a context of a client at the gateway and the path of the audit records there."""

    class GatewayClient:
        async def __aenter__(self):
            self.client = open_client(site, token=site.scoped_token, base_url=site.gateway_root)
            return self.client, f"/ex/jira/{site.cloud_id}{RECORDS}"

        async def __aexit__(self, *_):
            await self.client.aclose()

    return GatewayClient()


async def test_a_date_without_a_zone_matches_no_record_at_the_gateway():
    """The site accepts such a date, and the gateway answers 200 without records."""
    async with running_site() as (site, client), gateway_client(site) as (other, path):
        site.add_record(created=NOW)
        bare = format_utc(NOW - 60_000).removesuffix("Z")
        assert len(await get_ids(client, from_=bare)) == 1
        assert len(await get_ids(other, path)) == 1
        empty = await get_page(other, path, from_=bare)
        assert (empty["total"], empty["records"]) == (1, [])
        assert (await get_page(other, path, to=bare))["records"] == []


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("2022-10-05T13:38:24.262+0000", "2022-10-05T13:38:24.262 0000"),
        ("yesterday", "yesterday"),
        ("2022-02-30T00:00:00Z", "2022-02-30T00:00:00Z"),
        ("1664977104262", "1664977104262"),
        ("", ""),
    ],
)
async def test_an_unreadable_date_is_a_400_that_names_it(sent, named):
    """The 400 quotes the invalid date; in it, an unencoded plus is a space."""
    async with running_site() as (_, client):
        answer = await client.get(httpx.URL(f"{client.base_url}{RECORDS}?from={sent}"))
        assert answer.status_code == 400
        assert answer.json()["errorMessages"] == [f'Invalid date "{named}"']


async def test_a_filter_selects_records():
    """The parameter `filter` selects the records that have all of its words."""
    async with running_site() as (site, client):
        site.add_record("User added to group", record_id=1)
        site.add_record("Project created", record_id=2)
        assert await get_ids(client, filter="man ed") == [1]


async def test_a_record_can_appear_between_two_pages():
    """A record that appears while pages are read shifts the others, so that one record is on two pages."""
    async with running_site() as (site, client):
        for number in range(10):
            site.add_record(record_id=number, created=NOW - number)
        site.after_pages(1, lambda: site.add_record(record_id=50, created=NOW - 5))
        assert await read_all_ids(client, limit=4, to=format_utc(NOW)) == [
            9,
            8,
            7,
            6,
            6,
            5,
            4,
            3,
            2,
            1,
            0,
        ]


async def test_a_record_can_appear_late_among_older_ones():
    """A record with an older id and time becomes visible later than newer ones."""
    clock = ManualClock()
    async with running_site(clock) as (site, client):
        old = site.allocate_id()
        site.add_record()
        site.add_record(record_id=old, created=NOW - 3_600_000, visible_after=30)
        held = site.add_record(visible_after=None)["id"]
        assert old not in await get_ids(client)
        assert site.hidden == {old, held}
        clock.now += 30_000
        assert (await get_ids(client))[-1] == old
        site.reveal(held)
        assert (await get_ids(client))[0] == held
        assert len(site.all_records()) == 3


async def test_retention_deletes_while_pages_are_read():
    """Retention deletes the oldest records, so that a read by offset ends early."""
    clock = ManualClock()
    async with running_site(clock) as (site, client):
        for number in range(10):
            site.add_record(record_id=number, created=NOW + number)
        clock.now += 10
        site.after_pages(1, lambda: site.expire_oldest(3))
        assert await read_all_ids(client, limit=4) == [9, 8, 7, 6, 5, 4, 3]
        assert (await get_page(client))["total"] == 7
        site.quirks.retention_seconds = 0.005
        assert await get_ids(client) == [9, 8, 7, 6, 5]
        assert len(site.all_records()) == 10


async def test_a_record_can_be_served_twice():
    """With `repeat_ids_divisible_by`, pages repeat a record, and offsets count the copy."""
    async with running_site() as (site, client):
        for number in range(1, 7):
            site.add_record(record_id=number)
        site.quirks.repeat_ids_divisible_by = 3
        assert await read_all_ids(client, limit=4) == [6, 6, 5, 4, 3, 3, 2, 1]


async def test_a_new_project_makes_thirty_records_in_six_seconds():
    """Each record of the burst becomes visible at its own time."""
    clock = ManualClock()
    async with running_site(clock) as (site, client):
        burst = site.create_project()
        assert 25 <= len(burst) <= 35
        assert 0 < len(await get_ids(client)) < 10
        clock.now += 6_000
        assert sorted(await get_ids(client)) == [record["id"] for record in burst]


async def test_past_records_can_be_added():
    """Past records are within their range, and their ids follow their times."""
    async with running_site() as (site, client):
        site.add_history(50, NOW - 1000, NOW)
        assert len(await read_all_ids(client, from_=format_utc(NOW - 1000), to=format_utc(NOW - 1))) == 50
        times = [record["created"] for record in site.all_records()]
        assert times == sorted(times)


async def test_any_value_can_be_served():
    """`fields` changes the served record, and neither its position nor the list of created records."""
    async with running_site() as (site, client):
        odd = {"id": "17", "created": 12, "future": [1, {"x": 2**60}], "summary": "half \ud800 pair"}
        site.add_record("User created", record_id=1, created=NOW, fields=odd)
        (served,) = (await get_page(client, from_=format_utc(NOW - 1), to=format_utc(NOW + 1)))["records"]
        assert served == site.all_records()[0]
        assert {name: served[name] for name in odd} == odd


async def test_a_large_answer_is_compressed_on_request():
    """An answer with gzip has the same content as one without."""
    async with running_site() as (site, client):
        site.add_records(50)
        plain = await client.get(RECORDS, headers={"Accept-Encoding": "identity"})
        packed = await client.get(RECORDS, headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert json.loads(packed.content) == json.loads(plain.content)

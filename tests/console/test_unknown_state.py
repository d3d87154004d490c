"""What the pages say where nothing, or nothing new, is known."""

import re

import pytest

from relay.status.model import HourCount
from relay.timestamps import HOUR_MS
from tests.support.console import TOKEN
from tests.support.views import NOW, organization, status

WELL = status(complete_up_to=NOW, last_event=NOW)


@pytest.mark.parametrize("page", ["/organization", "/organization/modify", "/organization/delete"])
async def test_an_organization_is_not_denied_before_the_topics_have_been_read(console, page):
    """At a start without Kafka nobody knows whether the organization exists."""
    await console.sign_in()
    text = await console.page(f"{page}?name=acme", 503)
    assert "may have been deleted" not in text
    assert "are being read" in text

    console.show()
    assert "may have been deleted" in await console.page(f"{page}?name=acme", 404)


async def test_all_is_not_well_while_kafka_cannot_be_read(console):
    """The last state was good; whether it still is, nobody knows."""
    await console.sign_in()
    console.show([organization()], {"acme": WELL})
    assert "All is well" in await console.page("/")

    console.show([organization()], {"acme": WELL}, failure="Kafka is away.", failing_since=NOW)
    text = await console.page("/")
    assert "Kafka is away." in text
    assert "All is well" not in text


async def test_all_is_not_well_while_a_day_differs(console):
    """The overview links to the days, where the command line names commands; page and API say the same."""
    await console.sign_in()
    console.show(
        [organization()], {"acme": WELL, "completeness/acme": status("differing", reason="2026-11-23: one.")}
    )
    text = await console.page("/")
    assert "All is well" not in text
    assert '<a href="/completeness/organization?name=acme">acme</a>' in text
    assert "2026-11-23: one." in text
    assert "jira-relay proof" not in text
    answer = await console.client.get("/api/v1/overview", headers={"Authorization": f"Bearer {TOKEN}"})
    (cause,) = answer.json()["causes"]
    assert (cause["state"], cause["members"][0]["name"]) == ("differing", "acme")
    assert "`jira-relay proof show NAME`" in cause["reason"]


async def test_an_address_without_a_name_says_so(console):
    """No sentence has an empty name or empty quotes."""
    console.show()
    await console.sign_in()
    for page, missing in {
        "/organization": "organization",
        "/organization/modify": "organization",
        "/completeness/organization": "organization",
        "/completeness/day": "organization",
        "/destination": "destination",
        "/replay": "replay",
    }.items():
        response = await console.client.get(page)
        assert f"The address names no {missing}." in response.text, page


async def test_dead_letters_are_a_link(console):
    """The reader of a page has no command line; the dead letters of each organization are behind its name."""
    await console.sign_in()
    counts = (HourCount(NOW - NOW % HOUR_MS, 7, 0, 2),)
    console.show([organization()], {"acme": status(last_event=NOW, complete_up_to=NOW, counts=counts)})
    text = await console.page("/")
    assert '<a href="/dead-letters?organization=acme&amp;state=">acme</a>' in text
    assert "jira-relay dead-letters" not in text


async def test_a_paused_organization_is_not_said_to_be_polled(console):
    """An operator paused it, so it is no cause; but it is not polled."""
    await console.sign_in()
    console.show([organization(), organization("beta", state="paused")], {"acme": WELL})

    assert "Every organization is polled but for 1 that is paused" in await console.page("/")


@pytest.mark.parametrize("reported", [None, status("starting", last_event=None)])
async def test_a_new_organization_is_not_said_to_be_polled(console, reported):
    """Within the first minute nothing is wrong, and no producer has begun yet."""
    await console.sign_in()
    statuses = {"acme": WELL} | ({} if reported is None else {"beta": reported})
    console.show([organization(), organization("beta", added=NOW - 5_000)], statuses)

    page = await console.page("/organization?name=beta")
    assert "state starting" in page
    assert "no owner" not in page
    text = await console.page("/")
    assert "1 organization is not polled yet" in text
    assert "All is well" not in text


async def test_an_error_does_not_replace_the_live_part_of_a_page(console):
    """The answer of a proxy, or of a failed request, has no live part: swapped in, it would blank the page for good."""
    console.show()
    await console.sign_in()
    config = re.search("name=\"htmx-config\" content='([^']*)'", await console.page("/"))
    assert config
    assert '"noSwap": [204, 304, "4xx", "5xx"]' in config[1]


async def test_a_live_page_of_what_is_gone_loads_again(console):
    """A page whose organization was deleted meanwhile says so."""
    console.show()
    await console.sign_in()
    live = {"HX-Request": "true"}
    gone = await console.client.get("/organization?name=acme", headers=live)
    well = await console.client.get("/organizations", headers=live)

    assert (gone.status_code, gone.headers["hx-refresh"]) == (404, "true")
    assert "hx-refresh" not in well.headers

"""The page and the API of the history of changes, without a Kafka."""

import json
import re

import pytest

from management.personal_data import VIEWED
from relay.timestamps import DAY_MS
from tests.support.console import TOKEN, record_history
from tests.support.views import NOW

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def history(console):
    """A console with five changes: of two organizations and a destination, by two people, in two days."""
    console.show()
    before, after = {"interval_seconds": None, "revision": 1}, {"interval_seconds": 90, "revision": 2}
    record_history(
        console,
        {
            "what": "added",
            "at": NOW - 2 * DAY_MS,
            "after": json.dumps({"name": "acme", "credential": "encrypted"}),
        },
        {"before": json.dumps(before), "after": json.dumps(after)},
        {"organization": "beta", "what": "paused", "who": "root@host"},
        {
            "organization": "destination/soc",
            "what": "rewound",
            "after": json.dumps({"flow": "live", "events": 17}),
        },
        {"what": f"{VIEWED} acme/17"},
    )
    await console.sign_in()
    return console


async def test_the_history_shows_who_did_what_before_and_after(history):
    """The newest is first; each value that differs is there, and links lead to organization and destination."""
    page = await history.page("/changes")

    deeds = re.findall(r'<td class="deed">([^<]*)</td>', page)
    assert deeds == ["viewed personal data of acme/17", "rewound", "paused", "modified", "added"]
    assert '<span class="quiet">none</span> → <ins>90</ins>' in page
    assert "revision" not in page
    assert 'href="/destination?name=soc"' in page
    assert 'href="/organization?name=acme"' in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 5),
        ("name=acme", 3),
        ("subject=destination", 1),
        ("who=root@host", 1),
        ("what=added", 1),
        ("what=viewed+personal+data+of", 1),
        ("q=INTERVAL", 1),
        ("q=nothing+of+the+sort", 0),
        ("from=2026-09-21", 4),
        ("to=2026-09-20", 1),
        ("name=acme&who=root@host", 0),
    ],
)
async def test_filters_choose_among_the_changes(history, query, found):
    """Page and API choose the same ones; a day is meant from its first to its last instant."""
    listed = (await history.client.get(f"/api/v1/changes?{query}", headers=BEARER)).json()
    page = await history.page(f"/changes?{query}")

    assert listed["count"] == len(listed["changes"]) == found
    assert page.count('class="deed"') == found
    assert ("No change matches." in page) == (found == 0)


async def test_a_time_that_is_none_is_refused_in_words(history):
    """The page says what a time looks like; the API refuses the request."""
    assert "is no time" in await history.page("/changes?from=yesterday")
    response = await history.client.get("/api/v1/changes?from=yesterday", headers=BEARER)
    assert response.status_code == 422


async def test_a_long_history_has_pages(console):
    """A hundred changes are one page, and a page beyond the last is the last."""
    console.show()
    record_history(console, *({"who": f"person {number}"} for number in range(250)))
    await console.sign_in()

    assert (await console.page("/changes")).count('class="deed"') == 100
    last = await console.page("/changes?page=99")
    assert last.count('class="deed"') == 50
    assert "Page 3 of 3" in last


async def test_values_of_other_programs_are_text(console):
    """A fact that is no JSON object, and markup in any field, is shown as it is."""
    console.show()
    hostile = "<script>alert(1)</script>"
    record_history(console, {"organization": hostile, "who": hostile, "what": hostile, "after": hostile})
    await console.sign_in()
    page = await console.page("/changes")

    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;") >= 4


async def test_without_kafka_the_history_says_that_it_cannot_be_read(console):
    """The page answers and names the cause; the API answers 503."""
    await console.sign_in()
    console.show()
    page = await console.page("/changes")

    assert "has not been read yet" in page
    assert "127.0.0.1:1" in page
    assert "read from Kafka" not in page
    assert (await console.client.get("/api/v1/changes", headers=BEARER)).status_code == 503

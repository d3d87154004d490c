"""axe finds no violation on any page, in light and in dark, and each fits a phone.

Needs Chromium and Playwright (see test_browser.py), and axe: `npm install --prefix ~/.cache/jira-audit-relay/axe axe-core@4.14.1`.
"""

import re
import shutil

import pytest

from console.permissions import PERMISSIONS
from consumer.targets.target import Pause
from management.replay.live_replays import ReplaySnapshot
from relay.replays.job import KnownReplay
from relay.status.model import HourCount, Silence
from relay.timestamps import DAY_MS
from tests.console.test_browser import HOW, opened_page, served_console
from tests.console.test_replays import JOB, RUNNING
from tests.support.axe import AccessibilityChecker
from tests.support.views import organization, status

pytest.importorskip("playwright.async_api", reason=HOW)
pytestmark = [
    pytest.mark.skipif(shutil.which("chromium") is None, reason=HOW),
    pytest.mark.timeout(600),  # a browser is slow on a busy machine
]
NAME = "<img src=x>.example"
LONG = "A" * 300
"""A word of a message from outside that no line has room for."""
PAGES = (
    "/",
    "/organizations",
    "/organizations?text=nothing-has-this",
    "/organization?name=acme",
    "/organization?name=umbra",
    "/organization?name=nobody",
    "/organizations/add",
    "/organization/modify?name=acme",
    "/organization/delete?name=acme",
    "/organization/activity?name=acme",
    "/organizations/bulk",
    "/destinations",
    "/destination?name=sentinel",
    "/destination?name=nobody",
    "/destination/move?name=sentinel",
    "/destination/move?name=sentinel&direction=skip",
    "/replays",
    f"/replay?id={JOB.id}",
    "/replay?id=nothing",
    "/replays/start?destination=sentinel",
    "/dead-letters?state=",
    "/dead-letter?at=0/0",
    "/dead-letter?at=0/99",
    "/dead-letters/redrive",
    "/dead-letters/producers",
    "/events?organization=acme",
    "/event?at=events/0/0",
    "/event?at=events/0/99999",
    "/events/live",
    "/changes",
    "/completeness",
    "/completeness/organization?name=acme",
    "/completeness/day?name=acme&day=2026-11-23",
    "/completeness/day?name=nobody&day=2026-11-23",
    "/nothing",
)


def test_every_page_is_visited():
    """A page that is added is added here too."""
    pages = {
        key.removeprefix("GET ")
        for key, role in PERMISSIONS.items()
        if key.startswith("GET ") and role is not None and "/api/" not in key
    }
    assert pages <= {re.sub(r"\?.*", "", page) for page in PAGES}


def show_every_state(console):
    """Show a snapshot in which something of each kind needs attention."""
    now = console.clock.ms
    hour = now - now % 3_600_000
    fresh = {"since": now - 60_000, "at": now, "valid_until": now + 3_600_000}
    counts = (HourCount(hour, 7, 1, 2),)
    console.show(
        [
            organization("acme", added=now - DAY_MS),
            organization("umbra", added=now - DAY_MS, credential_expires=now + DAY_MS),
            organization(NAME, added=now - DAY_MS),
            organization("paused", state="paused"),
            organization("silent", added=now - 9 * DAY_MS),
        ],
        {
            "acme": status(last_event=now, complete_up_to=now, counts=counts, **fresh),
            "umbra": status(
                "waiting", reason=f"umbra: rate limited: {LONG}", waiting_until=now + 9_000, **fresh
            ),
            NAME: status("failing", reason=f"<script>alert(1)</script> refused the key: {LONG}", **fresh),
            "silent": status(
                last_event=now - 8 * DAY_MS,
                complete_up_to=now,
                silence=Silence(now - 8 * DAY_MS, now, "silent", 0.0004, longest=DAY_MS),
                **fresh,
            ),
            "destination/sentinel": status(
                "waiting", reason=f"it refuses everything: {LONG}", lag=12_345, counts=counts, **fresh
            ),
        },
        {"sentinel": Pause(now - 5_000, "Anna (console)")},
        replays=ReplaySnapshot([KnownReplay(JOB, RUNNING)]),
    )


async def faults_of(page, axe):
    """Return what is wrong with the page, as (path, fault)."""
    found = await axe.violations(page)
    await page.set_viewport_size({"width": 360, "height": 740})
    if (width := await page.evaluate("document.documentElement.scrollWidth")) > 360:
        found.append(f"it is {width} pixels wide on a phone")
    await page.set_viewport_size({"width": 1280, "height": 900})
    return [(page.url, each) for each in found]


async def test_axe_finds_nothing_on_any_page():
    """Each page as it is without a Kafka, with something of each kind that needs attention; and none is wider than a phone."""
    axe, found = AccessibilityChecker(), []
    async with served_console() as (console, url), opened_page(console, url) as (page, _):
        show_every_state(console)
        for path in PAGES:
            await page.goto(url + path)
            found += await faults_of(page, axe)

    assert found == []


async def test_axe_finds_nothing_without_kafka():
    """Neither on the first start, nor where a page says that it cannot be read."""
    axe, found = AccessibilityChecker(), []
    async with served_console() as (console, url), opened_page(console, url) as (page, _):
        await page.goto(f"{url}/organization?name=site-01")
        found += await faults_of(page, axe)
        console.show()
        for path in ("/", "/organizations"):
            await page.goto(url + path)
            found += await faults_of(page, axe)
        console.show(as_of=None)
        await page.goto(url)
        found += await faults_of(page, axe)

    assert found == []

"""A replay in a real browser: its bar moves by itself, and its form is sent by keyboard."""

import shutil
from dataclasses import replace

import pytest

from management.replay.live_replays import ReplaySnapshot
from relay.replays.job import KnownReplay, ReplayPlace
from tests.console.test_browser import HOW, opened_page, served_console
from tests.console.test_replays import JOB, RUNNING

pytest.importorskip("playwright.async_api", reason=HOW)
pytestmark = [
    pytest.mark.skipif(shutil.which("chromium") is None, reason=HOW),
    pytest.mark.timeout(300),  # a browser starts slowly on a busy machine
]


async def test_a_replay_is_followed_and_its_form_is_sent_by_keyboard():
    """What the reader has opened stays open; a refusal is announced, and keeps what was typed."""
    async with served_console() as (console, url), opened_page(console, url) as (page, complaints):
        console.show(replays=ReplaySnapshot([KnownReplay(JOB, RUNNING)]))
        await page.goto(f"{url}/replay?id={JOB.id}")
        await page.get_by_text("Cancel …").click()
        further = replace(RUNNING, places=(ReplayPlace("jira-audit.events", 0, 200, ""),))
        console.show(replays=ReplaySnapshot([KnownReplay(JOB, further)]))
        await page.get_by_text("50.0 %").wait_for()
        assert await page.get_by_role("button", name="Cancel the replay for good").is_visible()
        assert await page.locator("progress").get_attribute("value") == "500"
        assert complaints == []

        await page.goto(f"{url}/replays/start?destination=sentinel")
        await page.locator("#from").focus()
        await page.keyboard.type("soon")
        await page.keyboard.press("Enter")
        alert = page.get_by_role("alert")
        await alert.wait_for()
        assert "soon is no time" in await alert.text_content()
        assert await alert.evaluate("note => document.activeElement === note")
        assert await page.locator("#from").input_value() == "soon"

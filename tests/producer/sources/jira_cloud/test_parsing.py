"""Parsing a page beside the event loop."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from producer.sources.jira_cloud import page
from producer.sources.jira_cloud.client import QUICK_BYTES
from producer.sources.jira_cloud.page import Page
from tests.support.jira_endpoints import NOW, at_site, fetch_page


@asynccontextmanager
async def ticking():
    """Tick in the event loop; the event is set by each tick."""
    ticked = threading.Event()

    async def tick():
        while True:
            await asyncio.sleep(0)
            ticked.set()

    task = asyncio.create_task(tick())
    yield ticked
    task.cancel()


@pytest.mark.parametrize(
    ("fields", "parser"),
    [({"number": 10**20}, "parse_json"), ({"text": "x" * QUICK_BYTES}, "_parse_fast")],
    ids=["exact", "large"],
)
async def test_the_loop_goes_on_while_a_page_is_parsed(fields, parser, site, client, monkeypatch):
    """The parser waits for a tick of the loop, which cannot come if the parser runs in the loop."""
    site.add_record(created=NOW, fields=fields)
    parse, ticks = getattr(page, parser), []

    def parse_after_a_tick(text):
        ticked.clear()
        ticks.append(ticked.wait(10))
        return parse(text)

    async with ticking() as ticked:
        monkeypatch.setattr(page, parser, parse_after_a_tick)
        found = await fetch_page(client, at_site(site))

    assert isinstance(found, Page)
    assert ticks
    assert all(ticks)

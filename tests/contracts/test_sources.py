"""Every source keeps the contract; the invented one is polled by the real poller, from its folder and one line."""

import ast
import asyncio
import gzip
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from producer.metrics import ProducerMetrics
from producer.polling.context import PollingContext
from producer.polling.poller import Poller, PollerTiming
from producer.polling.window import PollingConfig
from producer.sources.catalogue import (
    SOURCES,
    ProducerSettings,
    open_connection_test,
    open_sources,
    source_name,
)
from producer.sources.errors import CONSEQUENCES, MESSAGES, BackoffScope, ErrorKind, RetryAction
from producer.sources.throttle import ignore_request
from producer.status_reporter import OrganizationStatusReporter, status_key
from relay.status.writer import StatusWriter
from relay.timestamps import DAY_MS, now_ms
from tests.contracts import source as suite
from tests.contracts.jira_cloud import jira_cloud_world
from tests.contracts.lines.source import LINES, open_lines, open_lines_test
from tests.contracts.lines.world import lines_world
from tests.support.publisher import TOPICS, in_memory_publisher
from tests.support.syntax import syntax_of

ROOT = Path(__file__).parents[2]
WORLDS = {"jira-cloud": jira_cloud_world, "lines": lines_world}


def table_of(world):
    """The table of sources, with the reader of a world's file where it has one."""
    reader = getattr(world, "reader", None)
    if reader is None:
        return suite.TABLE
    lines = replace(
        LINES,
        open=partial(open_lines, reader=reader),
        open_connection_test=partial(open_lines_test, reader=reader),
    )
    return suite.TABLE | {"lines": lines}


@pytest.fixture(params=sorted(suite.TABLE))
async def opened(request, tmp_path):
    async with WORLDS[request.param](tmp_path) as world:
        ended: list[bool] = []
        setup = suite.setup(world, lambda _seconds, succeeded: ended.append(succeeded))
        table, choice = table_of(world), (lambda _: request.param)
        async with (
            open_sources(setup, table, choice) as factory,
            open_connection_test(world.config, table, choice) as connection_test,
        ):
            rules = table[request.param].input_rules
            yield suite.OpenedWorld(world, setup, factory, connection_test, rules, ended)


def test_every_source_has_a_world():
    """A source without a simulator is not tested, so it is not a source."""
    assert WORLDS.keys() == suite.TABLE.keys() > SOURCES.keys()


@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda check: check.__name__)
async def test_a_source_keeps_its_contract(opened, check):
    """The claim is the check's docstring."""
    await check(opened)


async def test_an_organization_without_a_choice_is_on_jira_cloud(opened):
    """Until an organization names its source there is one."""
    assert source_name(opened.world.organization()) in SOURCES


async def test_the_real_poller_polls_the_invented_source(tmp_path):
    """Live, late and historic lines are published once each, under ids made of text; a line that is no record, and an
    event that is too large, are dead letters with the line.
    """
    async with lines_world(tmp_path) as world:
        setup = suite.setup(world, ignore_request)
        async with open_sources(setup, table_of(world), lambda _: "lines") as factory:
            now = now_ms()
            world.add(now - 3 * DAY_MS, count=120)
            organization = world.organization(backfill_from=now - 5 * DAY_MS)
            organization = replace(organization, added=now - 60_000)
            harness = LinesPoller(organization, factory.source_for(organization))
            async with harness.running():
                world.add(now - 30_000, count=150)
                await harness.until(lambda: len(harness.ids(TOPICS.events)) == 150)
                await harness.until(lambda: len(harness.ids(TOPICS.backfill)) == 120)
                world.write({"uuid": "large", "at": now_ms(), "text": "x" * 200_000})
                with world.path.open("a") as file:
                    file.write("no record\n")
                await harness.until(lambda: len(harness.dead_letters()) == 2)
                world.add(now_ms(), count=3)
                await harness.until(lambda: len(harness.ids(TOPICS.events)) == 153)
                await asyncio.sleep(0.5)

    found = harness.ids(TOPICS.events) + harness.ids(TOPICS.backfill)
    assert len(found) == len(set(found)) == 273
    assert any(b"no record" in letter for letter in harness.dead_letters())
    assert any(b'"uuid":"large"' in letter for letter in harness.dead_letters())
    assert harness.status.state == "active"


def mentions(tree, name):
    """Lines that import the folder of a source, or have its name as a text of its own."""
    folder = f"producer.sources.{name.replace('-', '_')}"
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if module == folder or module.startswith(f"{folder}."):
                yield node.lineno
            case ast.Import(names=names) if any(one.name.startswith(folder) for one in names):
                yield node.lineno
            case ast.Constant(value=str(text)) if text == name:
                yield node.lineno


def test_generic_code_names_no_source():
    """A source is one folder and one line: no other file of producer, management, command line or sandbox names one."""
    catalogue = Path("producer/sources/catalogue.py")
    for room in ("producer", "management", "cli", "sandbox", "relay"):
        for path in (ROOT / room).rglob("*.py"):
            part = path.relative_to(ROOT)
            in_a_source = part.parts[:2] == ("producer", "sources") and len(part.parts) > 3
            if not in_a_source and part != catalogue:
                tree = syntax_of(path.read_text("utf-8"))
                assert [line for name in SOURCES for line in mentions(tree, name)] == [], part


def test_no_setting_belongs_to_two_parts():
    """Polling and each source have settings of names of their own, since one group of settings holds them all."""
    names = [name for part in ProducerSettings.__bases__ for name in part.model_fields]
    assert sorted(names) == sorted(ProducerSettings.model_fields)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_a_page(name):
    """The operator's page of a source says how to set it up, what is read, its limits and its errors."""
    page = (ROOT / "docs/sources" / f"{name}.md").read_text("utf-8")
    for heading in ("Set up", "What is read", "Limits", "Errors"):
        assert f"\n## {heading}" in page


def test_every_error_kind_says_what_follows():
    """A kind that is not declared would end a poller at its first failure."""
    assert CONSEQUENCES.keys() == set(ErrorKind)


def test_a_wait_that_an_api_asks_for_holds_the_site():
    """A limit is the site's: its other organizations would go on asking."""
    waits = [each for each in CONSEQUENCES.values() if each.action is RetryAction.WAIT]
    assert {each.scope for each in waits} == {BackoffScope.SITE}


def test_every_refused_login_holds_the_organization():
    """A refused login that held one purpose alone would be repeated by each of the others, up to a CAPTCHA."""
    logins = [each for each in CONSEQUENCES.values() if each.login_failed]
    assert len(logins) >= 4
    assert {each.scope for each in logins} == {BackoffScope.ORGANIZATION}


def test_every_error_kind_has_a_message():
    """A kind without a message would be a defect while a failure is reported."""
    known = set(MESSAGES).union(*(source.messages for source in SOURCES.values()))
    assert known == set(ErrorKind)


class LinesPoller:
    def __init__(self, organization, source):
        self.writer = StatusWriter(None, "status")
        self.key = status_key(organization.name)
        metrics = ProducerMetrics(CollectorRegistry())
        publisher, self.transactions = in_memory_publisher(now_ms, max_event_bytes=100_000, metrics=metrics)
        reporter = OrganizationStatusReporter(organization, self.writer, metrics, now_ms, 0.1, None)
        config = PollingConfig(settle_ms=50, overlap_ms=60_000, reread_day_every_ms=1_000)
        context = PollingContext(organization, publisher, source, reporter, metrics, config, now_ms)
        timing = PollerTiming(0.2, 0.2, 0.05, 0.2, 0.0)
        self.poller = Poller(context, 0.1, timing)

    @property
    def status(self):
        return self.writer.last_put(self.key)

    def ids(self, topic):
        return self.transactions.ids(topic)

    def dead_letters(self):
        return [
            gzip.decompress(record.value) if dict(record.headers).get("relay.encoding") else record.value
            for record in self.transactions.topics[TOPICS.dead_letters]
        ]

    async def until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.status
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.poller.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=120)

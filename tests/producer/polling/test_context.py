"""Polling against a source in memory, for answers that no simulator gives."""

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from producer.metrics import ProducerMetrics
from producer.polling.context import PollingContext
from producer.polling.gap import gap_round
from producer.polling.live import LiveRound
from producer.polling.window import PollingConfig
from producer.publishing.publisher import ShardClosedError
from producer.sources.clock_skew import ClockSkew
from producer.sources.contract import UNKNOWN, SourceTraits
from producer.sources.purpose import Purpose
from producer.sources.window_result import WindowResult
from producer.state.checkpoint import EventPosition, new_checkpoint
from producer.state.intervals import TimeRange, split_in_half
from producer.status_reporter import OrganizationStatusReporter
from relay.organizations import Organization
from relay.status.writer import StatusWriter
from relay.timestamps import DAY_MS
from tests.support.publisher import in_memory_publisher, publish_error

NOW = 1_790_000_000_000
ACME = Organization("acme", "https://acme.example", "u", NOW, NOW, 1)


class FakeSource:
    """Return an empty log in two results; `oldest_record` is its answer to `oldest`."""

    traits = SourceTraits(page_records=10)
    clock_skew = ClockSkew()
    identity = None

    def __init__(self, oldest_record=None):
        self.oldest_record = oldest_record
        self.asked = 0
        self.closed = False

    async def read(self, window, _purpose, **_options):
        try:
            for half in split_in_half(window):
                yield WindowResult(half, half, (), (), 1, 0, proven=True)
        finally:
            self.closed = True

    async def bind_identity(self, bound_to):
        pass

    async def verify_empty(self, empty, _purpose):
        pass

    async def probe_clock(self):
        return None

    async def oldest(self, _purpose):
        self.asked += 1
        return self.oldest_record

    def restore(self, event):
        raise NotImplementedError

    def parse_record(self, raw):
        raise NotImplementedError


@pytest.fixture
def metrics():
    return ProducerMetrics(CollectorRegistry())


async def open_context(source, metrics, checkpoint):
    publisher, transactions = in_memory_publisher(lambda: NOW, metrics=metrics)
    await publisher.write_checkpoint("acme", lambda _: checkpoint)
    reporter = OrganizationStatusReporter(ACME, StatusWriter(None, "status"), metrics, lambda: NOW, 60, None)
    return PollingContext(
        ACME, publisher, source, reporter, metrics, PollingConfig(), lambda: NOW
    ), transactions


async def test_a_read_is_closed_when_publishing_fails(metrics):
    """The poller closes the source's read at once, before garbage collection."""
    source = FakeSource()
    context, transactions = await open_context(source, metrics, new_checkpoint("acme", NOW, now=NOW))
    transactions.error_after_commit = publish_error()

    async def publish_results():
        async with context.read(TimeRange(0, NOW), Purpose.LIVE) as results:
            async for result in results:
                await context.publish(result, lambda known: known, Purpose.LIVE, persist=True)

    with pytest.raises(ShardClosedError):
        await publish_results()

    assert source.closed


async def test_a_source_without_an_oldest_record_reports_no_gap(metrics, monkeypatch):
    """The poller asks for the oldest record once after an outage, then polls on."""
    gaps = []
    monkeypatch.setattr(ProducerMetrics, "gap_found", lambda *named: gaps.append(named))
    source = FakeSource(UNKNOWN)
    behind = replace(new_checkpoint("acme", NOW - 4 * DAY_MS, now=NOW), last_event=EventPosition(0, 1))
    context, _ = await open_context(source, metrics, behind)
    ready = asyncio.Event()
    await LiveRound(context, ready).run()
    asked_by_live = source.asked
    await gap_round(context)

    assert (asked_by_live, source.asked, gaps) == (0, 1, [])
    assert context.checkpoint().outage is None
    assert ready.is_set()
    assert context.checkpoint().window_end == NOW - context.config.settle_ms

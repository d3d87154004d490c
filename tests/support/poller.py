"""A poller of one simulated site, with everything that it writes to, in memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from prometheus_client import CollectorRegistry

from producer.metrics import ProducerMetrics
from producer.polling.context import PollingContext
from producer.polling.letters import LetterRedriver
from producer.polling.poller import Poller, PollerTiming
from producer.polling.unread_range_search import UnreadRangeTiming
from producer.polling.window import PollingConfig
from producer.replays.jobs import RefillJobs
from producer.status_reporter import OrganizationStatusReporter, status_key
from relay.kafka.producer import RecordWriter
from relay.status.model import Status
from relay.status.writer import StatusWriter
from relay.timestamps import DAY_MS, now_ms
from simulators.jira_cloud.site import SimulatedSite
from tests.support.jira import JiraFixture, backoff
from tests.support.publisher import TOPICS, in_memory_publisher

CONFIG = PollingConfig(
    settle_ms=200,
    overlap_ms=60_000,
    reread_day_every_ms=2_000,
    reread_week_every_ms=DAY_MS,
    allowed_lateness_ms=7 * DAY_MS,
)
TIMING = PollerTiming(
    reread_check_seconds=0.3,
    backfill_check_seconds=0.3,
    source_error_pause_seconds=0.1,
    defect_seconds=0.4,
    gap_check_seconds=0.1,
    unread_range_check_seconds=0.1,
    unread_ranges=UnreadRangeTiming(first_seconds=0.5, cap_seconds=1.0),
)
BACKOFF = backoff(0.4, page_pause_seconds=0.1)


class PollerHarness:
    """Run a poller of one simulated site, with everything that it writes to."""

    def __init__(self, site: SimulatedSite, jira_fixture: JiraFixture, **fields: Any) -> None:
        self.clock: Callable[[], int] = now_ms
        self.site = site
        self.organization = jira_fixture.organization(site, **fields)
        self.jira_fixture = jira_fixture
        self.elapsed: Callable[[], float] = time.monotonic
        """Seconds, by which the log measures how long a trouble lasts."""
        self.metrics = ProducerMetrics(CollectorRegistry(), lambda: self.elapsed())  # noqa: PLW0108 - a test sets it later
        self.status_writer = StatusWriter(cast("RecordWriter", None), "status")
        self.publisher, self.transactions = in_memory_publisher(self.now_ms, metrics=self.metrics)
        self.config = CONFIG
        self.refills = RefillJobs()
        self.redriver: LetterRedriver | None = None

    def now_ms(self) -> int:
        """The local clock in ms; set `clock` to let it be wrong."""
        return self.clock()

    @property
    def status(self) -> Status | None:
        return self.status_writer.last_put(status_key(self.organization.name))

    @asynccontextmanager
    async def running(self, interval: float = 0.2) -> AsyncIterator["asyncio.Task[None]"]:
        reporter = OrganizationStatusReporter(
            self.organization, self.status_writer, self.metrics, self.now_ms, interval, self.status
        )
        context = PollingContext(
            self.organization,
            self.publisher,
            self.jira_fixture.sources.source_for(self.organization),
            reporter,
            self.metrics,
            self.config,
            self.now_ms,
            refills=self.refills,
        )
        poller = Poller(context, interval, TIMING, self.redriver)
        task = asyncio.create_task(poller.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=30)
            assert task.done()

    def published(self, topic: str = TOPICS.events) -> list[int]:
        return sorted(self.transactions.ids(topic))

    async def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.status, self.published())
            await asyncio.sleep(0.05)


def ids(records: Iterable[Mapping[str, Any]]) -> list[int]:
    return sorted(record["id"] for record in records)

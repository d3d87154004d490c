"""One producer process: the real shard, pollers, publisher and loader, with the world in place of Jira and Kafka."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from producer.metrics import ProducerMetrics
from producer.polling.context import PollingContext
from producer.polling.poller import Poller
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.publishing.transaction_outcomes import TransactionOutcomes
from producer.publishing.transaction_size import TransactionLimits
from producer.recovery.loader import LoaderLimits, ShardLoader
from producer.sharding.shard import Shard, ShardTiming
from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from producer.sources.jira_cloud.factory import JiraCloudSources
from producer.sources.jira_cloud.pager import PagingLimits
from producer.sources.jira_cloud.window_reader import JiraCloudLimits
from producer.status_reporter import OrganizationStatusReporter, status_key
from relay.kafka.profile import KAFKA
from relay.kafka.topic_facts import TopicLimits
from relay.status.writer import StatusWriter
from relay.timestamps import DAY_MS
from tests.producer.histories.jira import CONFIG
from tests.support.publisher import ENCODER, TOPICS

PAGE = 4
LOADER_LIMITS = LoaderLimits(tail_offsets=12, transaction=TransactionLimits(max_events=3))
JIRA_LIMITS = JiraCloudLimits(paging=PagingLimits(page_records=PAGE, max_records=10))
RETENTION_MS = 12 * DAY_MS
SHARD_TIMING = ShardTiming(open_check_seconds=7 * 86_400)
"""No history changes a topic setting; a look each second of its days would be most of its work."""
METRICS = ProducerMetrics(CollectorRegistry())


class KeyInRecord:
    """Resolves API keys that are stored in the records, and in no store."""

    async def prepare(self, _organization: Mapping[str, Any]) -> None:
        pass

    async def reread(self, _organization: Mapping[str, Any]) -> bool:
        return False

    def resolve(
        self,
        _organization: Mapping[str, Any],
        max_age_seconds: float | None = None,  # noqa: ARG002
    ) -> SecretStr:
        return SecretStr("key")


class _Store:
    async def event_encoder(self):
        return ENCODER


class _Connection:
    profile, patience = KAFKA, 1.0
    kafka = SimpleNamespace(topic_prefix=TOPICS.prefix)

    def __init__(self, process):
        self._process = process

    def login(self):
        return {}

    def options(self):
        return {"process": self._process}


class ProducerProcess:
    """One process, which is also its shard's group membership and its shard's poller."""

    generation = 1

    def __init__(self, world, skew_ms=0):
        self.world = world
        self.skew_ms = skew_ms
        self.alive = True
        self.cancelled_commit_succeeds = False
        """Whether Kafka carries out a commit that is cancelled before its answer."""
        self._status_writer = StatusWriter(None, "status")
        credentials = KeyInRecord()
        self._sources = JiraCloudSources(
            [self], credentials, AllowedHosts("https://gateway.example", []), self.now_ms, limits=JIRA_LIMITS
        )
        connection = _Connection(self)
        limits = TopicLimitsWatcher(connection, TopicLimits(retention_ms=RETENTION_MS))
        self._loader = ShardLoader(connection, TOPICS, _Store(), limits, METRICS, self.now_ms, LOADER_LIMITS)
        self._outcomes = TransactionOutcomes()
        self.publisher = None
        self.shard = Shard(0, self, self._load, self, SHARD_TIMING)
        self.task = asyncio.create_task(self.shard.run())

    def now_ms(self):
        return self.world.now_ms() + self.skew_ms

    async def step(self, kind):
        if not self.alive:
            await asyncio.Event().wait()
        return await self.world.steps.wait_for_outcome(self, kind)

    async def _load(self, number):
        publisher = await self._loader.load(number, self._outcomes)
        self.world.shard_loaded(self)
        self.publisher = publisher
        return publisher

    def invalidate(self):
        """Do nothing; `wait_for_membership` checks the membership after a fencing."""

    async def wait_for_membership(self):
        if self.world.owner is not self:
            await asyncio.Event().wait()

    async def unavailable(self, organization, reason):
        """Do nothing; a history reads no status."""

    async def poll(self, organization, publisher):
        source = self._sources.source_for(organization)
        interval = organization.interval_seconds
        previous = self._status_writer.last_put(status_key(organization.name))
        reporter = OrganizationStatusReporter(
            organization, self._status_writer, METRICS, self.now_ms, interval, previous
        )
        if organization.paused:
            await reporter.heartbeat()
        context = PollingContext(
            organization,
            publisher,
            source,
            reporter,
            METRICS,
            CONFIG,
            self.now_ms,
            refills=self.world.refills,
        )
        await Poller(context, interval).run()

    def deleted(self, organization):
        self.released(organization)

    def released(self, organization):
        self._status_writer.forget(status_key(organization))
        self._sources.remove(organization)

    def kill(self, *, cancelled_commit_succeeds):
        """End the process; of its later acts only a transaction end that was sent has an effect."""
        self.alive = False
        self.cancelled_commit_succeeds = cancelled_commit_succeeds
        self.task.cancel()
        self.world.until(self.task.done)

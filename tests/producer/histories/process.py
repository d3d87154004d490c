"""One producer process: the real shard, with pollers, desk and opening, and the world in the place of Jira and Kafka."""

import asyncio
from types import SimpleNamespace

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from producer.metrics import Metrics
from producer.polling.poller import Poller
from producer.publishing.topic_limits import KnownLimits
from producer.recovery.loader import Opener
from producer.sharding.shard import Shard
from producer.sources.jira_cloud.source import Sites
from producer.status_reporter import Report, status_key
from relay.credentials.url_policy import AllowedHosts
from relay.kafka.profile import KAFKA
from relay.kafka.topic_admin import TopicLimits
from relay.status.writer import StatusWriter
from relay.timestamps import DAY
from tests.producer.histories.jira import RULES
from tests.support.publisher import ENCODER, TOPICS

KEPT = 12 * DAY
METRICS = Metrics(CollectorRegistry())


class _Store:
    async def event_encoder(self):
        return ENCODER


class _Connection:
    profile = KAFKA

    def __init__(self, process):
        self._process = process

    def options(self):
        return {"process": self._process}


class Process:
    """Also what its shard has to know of the group, and what the shard's pollers are."""

    generation = 1

    def __init__(self, world, skew_ms=0):
        self.world = world
        self.skew_ms = skew_ms
        self.alive = True
        self.last_words_arrive = False
        """Whether a commit that is cancelled while it waits for its answer is carried out."""
        self._status_writer = StatusWriter(None, "status")
        credentials = SimpleNamespace(resolve=lambda _organization: SecretStr("key"))
        self._sites = Sites([self], credentials, AllowedHosts("https://gateway.example", []), self.now_ms)
        connection = _Connection(self)
        limits = KnownLimits(connection, TopicLimits(retention_ms=KEPT))
        self._opener = Opener(connection, TOPICS, _Store(), limits, METRICS, self.now_ms)
        self.desk = None
        self.shard = Shard(0, self, self._open, self)

    def now_ms(self):
        return self.world.now_ms() + self.skew_ms

    async def step(self, kind):
        if not self.alive:
            await asyncio.Event().wait()
        return await self.world.steps.reach(self, kind)

    async def _open(self, number):
        desk = await self._opener.open(number)
        self.world.opened(self)
        self.desk = desk
        return desk

    def invalidate(self):
        """Fenced: whether the group still counts on us is asked in `renewed`."""

    async def renewed(self):
        if self.world.owner is not self:
            await asyncio.Event().wait()

    async def poll(self, organization, desk):
        site = self._sites.of(organization)
        interval = organization.interval_seconds
        told = self._status_writer.last_put(status_key(organization.name))
        report = Report(organization, self._status_writer, METRICS, self.now_ms, interval, told)
        if organization.paused:
            await report.renew_for_ever()
        await Poller(organization, desk, site, report, METRICS, RULES, interval, self.now_ms).run()

    def deleted(self, organization):
        self.released(organization)

    def released(self, organization):
        self._status_writer.forget(status_key(organization))
        self._sites.forget(organization)

    def kill(self, *, last_words_arrive):
        """Nothing that it does from now on has any effect, but that of the end of a transaction that was on its way."""
        self.alive = False
        self.last_words_arrive = last_words_arrive
        task = self.shard._task
        task.cancel()
        self.world.until(task.done)

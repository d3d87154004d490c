"""A poller for each organization of this process's shards, with its status."""

import asyncio
from collections.abc import Callable

from producer.config import ProducerConfig
from producer.metrics import ProducerMetrics
from producer.polling.context import PollingContext
from producer.polling.letters import LetterRedriver
from producer.polling.poller import Poller
from producer.polling.window import PollingConfig
from producer.publishing.publisher import ShardPublisher
from producer.replays.jobs import RefillJobs
from producer.sources.contract import SourceFactory
from producer.status_reporter import OrganizationStatusReporter, status_key
from relay.organizations import Organization
from relay.status.reader import StatusCache
from relay.status.writer import StatusWriter
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer
from relay.timestamps import now_ms


class PollerFactory:
    """Polls the organizations of this process's shards: the OrganizationPolling of each shard."""

    def __init__(
        self,
        settings: ProducerConfig,
        sources: SourceFactory,
        status_writer: StatusWriter,
        status_cache: StatusCache,
        metrics: ProducerMetrics,
        refills: RefillJobs,
        redriver: LetterRedriver,
        tracer: Tracer = NOT_TRACED,
    ) -> None:
        self._tracer = tracer
        self._redriver = redriver
        self._refills = refills
        self._settings = settings
        self._config = PollingConfig(
            settle_ms=int(settings.settle_seconds * 1000),
            overlap_ms=int(settings.overlap_seconds * 1000),
            reread_day_every_ms=int(settings.reread_day_every_seconds * 1000),
            reread_week_every_ms=int(settings.reread_week_every_seconds * 1000),
            allowed_lateness_ms=settings.late_days * 86_400_000,
        )
        self._sources = sources
        self._status_writer = status_writer
        self._status_cache = status_cache
        self._metrics = metrics

    async def poll(self, organization: Organization, publisher: ShardPublisher) -> None:
        """Poll it until cancelled or the publisher fails. A paused organization only keeps its status alive."""
        interval = organization.interval_seconds or self._settings.interval_seconds
        reporter = await self._reporter(
            organization, lambda: publisher.outcomes.problem(organization.name, now_ms())
        )
        if organization.paused:
            jobs = self._refills, self._redriver.jobs
            await asyncio.gather(
                reporter.heartbeat(), *(each.report_paused(organization.name) for each in jobs)
            )
        source = self._sources.source_for(organization)
        context = PollingContext(
            organization,
            publisher,
            source,
            reporter,
            self._metrics,
            self._config,
            now_ms,
            refills=self._refills,
            tracer=self._tracer,
        )
        await Poller(context, interval, redriver=self._redriver).run()

    async def _reporter(
        self, organization: Organization, shard_problem: Callable[[], str | None]
    ) -> OrganizationStatusReporter:
        interval = organization.interval_seconds or self._settings.interval_seconds
        key = status_key(organization.name)
        previous = self._status_writer.last_put(key) or await self._status_cache.latest(key)
        return OrganizationStatusReporter(
            organization,
            self._status_writer,
            self._metrics,
            now_ms,
            interval,
            previous,
            shard_problem=shard_problem,
        )

    async def unavailable(self, organization: Organization, reason: str) -> None:
        """Report it as failing: its shard has no publisher. A paused organization stays paused."""
        await self._reporter(organization, lambda: reason)

    def deleted(self, organization: str) -> None:
        """Remove its status and metrics; its progress remains in Kafka."""
        self._status_writer.tombstone(status_key(organization))
        self._release(organization)

    def released(self, organization: str) -> None:
        """Forget its unsent status; its new owner publishes it."""
        self._status_writer.forget(status_key(organization))
        self._release(organization)

    def _release(self, organization: str) -> None:
        self._sources.remove(organization)
        self._metrics.remove_organization(organization)

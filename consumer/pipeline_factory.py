"""Opens the destinations, and builds for each its pipelines, its replays, and the course of its older events."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from consumer.config import ConsumerConfig
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.circuit_breaker import RateLimit
from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import Destination, DestinationConfig, Flow, Kinds
from consumer.losses.loss_log import LossLog
from consumer.losses.refilled import open_refilled_ranges
from consumer.losses.store import LossStore
from consumer.offsets.delivered import DeliveryProgress
from consumer.older_events import OlderEvents
from consumer.pipeline_builder import REBALANCE_TIMEOUT_SECONDS, PipelineBuilder, SharedParts, start_position
from consumer.replay.archive_opening import archives_for
from consumer.replay.job_opener import DestinationParts
from consumer.replay.membership import ReplayMembership, build_replays
from consumer.running_pipelines import RunningDestination, RunningPipeline
from consumer.targets.guard import TargetGuard
from consumer.targets.store import ClaimStore
from consumer.targets.target import target_of
from relay.errors import RelayError
from relay.kafka import TopicPartition
from relay.kafka.producer import RecordWriter


class PipelineFactory:
    """Builds what a process runs for each destination."""

    def __init__(
        self,
        config: ConsumerConfig,
        destinations: Mapping[str, DestinationConfig],
        shared: SharedParts,
        kinds: Kinds = DESTINATIONS,
    ) -> None:
        self._config = config
        self._destinations = destinations
        self._shared = shared
        self._kinds = kinds
        self._claims = ClaimStore(shared.connection, shared.topics.destinations)

    def start_text(self, name: str) -> str:
        """Return how the destination begins at its first start, as the status records it."""
        start = start_position(self._destinations[name], self._config)
        return start if isinstance(start, str) else start.isoformat()

    async def build(self, name: str, stack: AsyncExitStack) -> RunningDestination:
        """Open the destination and build its pipelines, live first; they share only rate limits.

        The one of older events reads the live topic up to where the live group began, and sends to history.

        Raises RelayError for a destination whose settings cannot work.
        """
        config, shared = self._destinations[name], self._shared
        kind = self._kinds[config.kind]
        if kind.request_timeout_seconds >= REBALANCE_TIMEOUT_SECONDS:
            raise RelayError(
                f"A request of destinations.{name} may take {kind.request_timeout_seconds:g} s, longer than a rebalance waits"
                f" ({REBALANCE_TIMEOUT_SECONDS:g} s). Lower the request timeout of the kind {config.kind}."
            )
        flows = await stack.enter_async_context(kind.open_beside(name, config, shared.connection.kafka))
        guards, losses = self._guards(name), self._loss_log(name)
        builder = PipelineBuilder(name, config, self._config, shared, RateLimit(), losses)
        live = builder.build("live", flows["live"], guards["live"])
        replays = await self._replays(builder, flows, guards, live, stack)
        refilled = open_refilled_ranges(
            losses, lambda: replays.owns, shared.connection, shared.topics, shared.timing.losses
        )
        if "history" not in flows:
            return RunningDestination([live], _older_events(builder, live, None), losses, replays, refilled)
        history = builder.build("history", flows["history"], guards["history"])

        async def live_progress(
            partitions: Sequence[TopicPartition],
        ) -> Mapping[TopicPartition, DeliveryProgress]:
            return await older_events.live_progress(partitions)

        older = builder.build("older", flows["history"], guards["history"], live_progress)
        older_events = _older_events(builder, live, older)
        return RunningDestination([live, history, older], older_events, losses, replays, refilled)

    def _guards(self, name: str) -> Mapping[Flow, TargetGuard]:
        """Return the guard of each flow's groups: live events and history may go to different targets."""
        config, timing = self._destinations[name], self._shared.timing.target
        return {
            flow: TargetGuard(name, flow, target_of(config.kind, identity), self._claims, timing)
            for flow, identity in self._kinds[config.kind].identity(config).items()
        }

    def _loss_log(self, name: str) -> LossLog:
        shared = self._shared
        store = LossStore(shared.connection, shared.topics.destinations, shared.writer)
        return LossLog(name, store, archives_for(self._destinations, name), shared.timing.losses)

    async def _replays(
        self,
        builder: PipelineBuilder,
        flows: Mapping[Flow, Destination],
        guards: Mapping[Flow, TargetGuard],
        live: RunningPipeline,
        stack: AsyncExitStack,
    ) -> ReplayMembership:
        """Its progress has a writer of its own: a write that a hand-over cancels must not fail the writes of others."""
        shared = self._shared
        writer = await stack.enter_async_context(RecordWriter(shared.connection))
        metrics = shared.metrics.for_pipeline(builder.name, "replay")
        parts = DestinationParts(
            *(builder.name, builder.config, flows, guards, builder.rate_limit, live.flow.routes),
            *(SchemaLookup(shared.store, metrics), metrics, shared.writer, shared.topics.dead_letters),
            *(shared.topic_settings, shared.workers),
        )
        return build_replays(
            *(parts, shared.connection, shared.topics, shared.archives, writer),
            *(shared.timing, REBALANCE_TIMEOUT_SECONDS, shared.metrics),
        )


def _older_events(
    builder: PipelineBuilder, live: RunningPipeline, older: RunningPipeline | None
) -> OlderEvents:
    return OlderEvents(
        builder.name,
        live.topic,
        live.handler,
        (older.member, older.handler) if older else None,
        builder.backup_reader(live.topic, older=True),
        builder.shared.timing.older,
    )

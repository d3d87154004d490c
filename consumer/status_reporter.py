"""The report of one destination: status record, metrics and readiness."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import sub

from consumer.assignment.coverage import CoverageCheck
from consumer.assignment.handler import AssignmentHandler
from consumer.delivery.flow import DeliveryFlow
from consumer.destinations.outcome import Paused, Retry
from consumer.metrics import ConsumerMetrics, PipelineMetrics
from consumer.offsets.backup import backed_up, destination_status_key
from consumer.offsets.delivered import DeliveryProgress
from consumer.targets.guard import TargetGuard
from consumer.timing import ReporterTiming
from consumer.topic_settings import DEFAULT_RETENTION_SECONDS, TopicSettings
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.consumer_group import Member
from relay.status.model import GroupOffset, Status, take_over
from relay.status.reader import StatusHistory
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.timestamps import now_ms

_MEMBERSHIP_UNCONFIRMED = "Kafka does not confirm the membership of this process in its group; check that Kafka runs and is reachable"


@dataclass(frozen=True, slots=True)
class RunningPipeline:
    """One flow of a destination, live or history, as it runs."""

    topic: str
    member: Member
    handler: AssignmentHandler
    flow: DeliveryFlow
    metrics: PipelineMetrics
    coverage: CoverageCheck
    topic_settings: TopicSettings | None = None
    """Of all topics; None: they are not looked at."""

    @property
    def topic_problem(self) -> str | None:
        """The setting of its topic that causes loss of events; None: no reported one does. Delivery goes on, since it alone saves them."""
        return None if self.topic_settings is None else self.topic_settings.problem(self.topic)

    @property
    def retention_seconds(self) -> float:
        """How long Kafka keeps the events of its topic."""
        settings = self.topic_settings
        return DEFAULT_RETENTION_SECONDS if settings is None else settings.retention_seconds(self.topic)

    @property
    def problem(self) -> Retry | Paused | None:
        """Why the destination accepts no events; None: it does, or nothing is sent."""
        return self.flow.state.problem or self.flow.breaker.problem


class DestinationStatusReporter:
    """Reports the state of one destination, once a second.

    Every process reports its own metrics and readiness. The owner of partition 0 of the live flow writes the status record,
    whose counts are of that process alone.
    """

    def __init__(
        self,
        destination: str,
        pipelines: Sequence[RunningPipeline],
        shards: int,
        start: str,
        status_writer: StatusWriter,
        status_history: StatusHistory,
        metrics: ConsumerMetrics,
        health: Health,
        guard: TargetGuard,
        timing: ReporterTiming | None = None,
    ) -> None:
        self._guard = guard
        self._destination = destination
        self._pipelines = pipelines
        self._shards = shards
        self._start = start
        self._status_writer = status_writer
        self._status_history = status_history
        self._metrics = metrics
        self._health = health
        self._timing = timing or ReporterTiming()
        self._status: Status | None = None
        self._reported_counts = {pipeline.topic: (0, 0, 0) for pipeline in pipelines}
        self._progress_and_ends: dict[str, Mapping[TopicPartition, tuple[DeliveryProgress | None, int]]] = {}
        self._lags: dict[str, int | None] = {pipeline.topic: None for pipeline in pipelines}
        self._last_done = dict.fromkeys(("offsets", "backup", "renewal", "alarm"), -1e9)

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self.publish()
            await asyncio.sleep(self._timing.publish_seconds)

    async def publish(self) -> None:
        """Report once; write the status record when it has changed or has to be renewed."""
        await asyncio.gather(*map(_refresh_coverage, self._pipelines))
        state, reason = self._current_state()
        self._metrics.state_observed(self._destination, state, reason)
        self._publish_health(state, reason)
        self._update_gauges()
        if self._owns_status() or await self._is_alone_with_a_problem():
            await self._write(state, reason)
        else:
            self._status = None
            for pipeline in self._pipelines:
                pipeline.metrics.set_group_lag(None)

    def expire_status(self) -> None:
        """End the validity of the status record, if this process owns it, at the next flush: the process stops."""
        if self._status is not None:
            self._status_writer.expire(destination_status_key(self._destination), self._status, now_ms())

    def _publish_health(self, state: str, reason: str | None) -> None:
        """Report readiness. A destination without events does not notice that Kafka is silent, so the membership counts too."""
        operating = state in {"active", "waiting"}
        began = state != "paused" and all(pipeline.handler.ready for pipeline in self._pipelines)
        unconfirmed = began and not all(pipeline.member.valid for pipeline in self._pipelines)
        risk = next(filter(None, (pipeline.topic_problem for pipeline in self._pipelines)), None)
        if operating and risk is not None:
            reason = risk
        self._health.report(
            f"destination {self._destination}",
            ok=operating and not unconfirmed and risk is None,
            reason=_MEMBERSHIP_UNCONFIRMED if unconfirmed else (reason or state).rstrip("."),
        )

    def _current_state(self) -> tuple[str, str | None]:
        if self._guard.problem is not None:
            return "paused", self._guard.problem
        if self._guard.waiting is not None:
            return "starting", self._guard.waiting
        flows = [_flow_state(pipeline) for pipeline in self._pipelines]
        for wanted in ("paused", "waiting", "starting"):
            for state, reason in flows:
                if state == wanted:
                    return state, reason
        states = [pipeline.flow.state for pipeline in self._pipelines]
        risks = [pipeline.topic_problem for pipeline in self._pipelines if pipeline.topic_problem]
        corrupt = [text for state in states for text in state.corrupt_batches]
        losses = [text for state in states for text in (*state.losses, *state.mismatches)]
        return "active", next(iter(risks + corrupt + losses), self._guard.notice)

    def _update_gauges(self) -> None:
        for pipeline in self._pipelines:
            oldest = pipeline.handler.oldest_seconds()
            state = "paused" if self._guard.problem else _flow_state(pipeline)[0]
            pipeline.metrics.set_state(state, oldest_seconds=oldest)
            if (
                oldest is not None
                and oldest > pipeline.retention_seconds / 2
                and self._due("alarm", self._timing.alarm_seconds)
            ):
                kept_days = pipeline.retention_seconds / 86_400
                pipeline.metrics.half_of_retention_passed(oldest / 86_400, kept_days)

    def _owns_status(self) -> bool:
        live = self._pipelines[0]
        return live.member.valid and TopicPartition(live.topic, 0) in live.handler.partitions

    async def _is_alone_with_a_problem(self) -> bool:
        """Return whether the settings name another target, and no process reports on the one that the name belongs to."""
        if self._guard.problem is None:
            return False
        latest = await self._status_history.latest(destination_status_key(self._destination))
        own = self._status is not None and latest is not None and latest.epoch == self._status.epoch
        return latest is None or own or latest.valid_until < now_ms()

    async def _write(self, state: str, reason: str | None) -> None:
        now = now_ms()
        fresh = self._status is None
        if self._status is None:
            self._status = take_over(
                state, now, await self._status_history.latest(destination_status_key(self._destination))
            )
        status = self._with_counts(self._status.transition(state, reason, now), now)
        if self._due("offsets", self._timing.offsets_seconds):
            await self._read_offsets()
            status = replace(status, lag=self._lag())
        if self._due("backup", self._timing.backup_seconds) or fresh:
            status = replace(status, offsets=self._backed_up_offsets(status.offsets))
        wait = max(pipeline.flow.breaker.wait_seconds for pipeline in self._pipelines)
        waiting = now + int(wait * 1000) if state == "waiting" else None
        status = replace(status, waiting_until=waiting, start=status.start or self._start).valid_for(
            self._timing.valid_ms
        )
        if self._is_changed(status) or self._due("renewal", self._timing.renewal_seconds):
            self._status_writer.put(destination_status_key(self._destination), status)
        self._status = status

    def _is_changed(self, status: Status) -> bool:
        previous = self._status
        if previous is None:
            return True
        compared = ("state", "reason", "counts", "lag", "offsets")
        return any(getattr(previous, fact) != getattr(status, fact) for fact in compared)

    def _with_counts(self, status: Status, now: int) -> Status:
        for pipeline in self._pipelines:
            state = pipeline.flow.state
            counts = (state.accepted, state.dead_lettered, state.skipped)
            reported = self._reported_counts[pipeline.topic]
            events, dead_letters, skipped = map(sub, counts, reported)
            if counts != reported:
                self._reported_counts[pipeline.topic] = counts
                status = status.with_counts(now, events=events, dead_letters=dead_letters, skipped=skipped)
        return status

    async def _read_offsets(self) -> None:
        """Read committed offsets and log ends of every flow. The lag is not known where Kafka does not answer."""
        for pipeline in self._pipelines:
            self._lags[pipeline.topic] = None
            numbers = pipeline.coverage.partitions or range(self._shards)
            partitions = [TopicPartition(pipeline.topic, number) for number in sorted(numbers)]
            try:
                async with asyncio.timeout(self._timing.offsets_timeout_seconds):
                    progress_and_ends = await pipeline.handler.progress_and_ends(partitions)
            except (KafkaError, TimeoutError):
                pass
            else:
                self._progress_and_ends[pipeline.topic] = progress_and_ends
                if pipeline.coverage.problem is None:
                    self._lags[pipeline.topic] = _lag(progress_and_ends)
            pipeline.metrics.set_group_lag(self._lags[pipeline.topic])

    def _lag(self) -> int | None:
        """Return how many events of all flows are not accepted; None: that of a flow is not known."""
        lags = [self._lags[pipeline.topic] for pipeline in self._pipelines]
        return None if None in lags else sum(lag for lag in lags if lag is not None)

    def _backed_up_offsets(self, previous: Sequence[GroupOffset]) -> tuple[GroupOffset, ...]:
        """Return the offsets to back up. One with the record that proves it is not replaced by a later one without."""
        known = {(each.topic, each.partition): each for each in previous}
        for progress_and_ends in self._progress_and_ends.values():
            for partition, (progress, _) in progress_and_ends.items():
                place = (partition.topic, partition.partition)
                before = known.get(place)
                if progress is None or (
                    before and before.last and not progress.last and before.offset <= progress.offset
                ):
                    continue
                known[place] = backed_up(partition, progress)
        return tuple(known[place] for place in sorted(known))

    def _due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._last_done[what] < seconds:
            return False
        self._last_done[what] = now
        return True


def _flow_state(pipeline: RunningPipeline) -> tuple[str, str | None]:
    """Return the state of one flow, and its reason."""
    if isinstance(pipeline.problem, Paused):
        return "paused", pipeline.problem.reason
    if isinstance(pipeline.problem, Retry):
        return "waiting", pipeline.problem.reason
    if not pipeline.handler.ready:
        return "starting", pipeline.handler.waiting_reason
    if pipeline.coverage.problem is not None:
        return "starting", pipeline.coverage.problem
    return "active", None


async def _refresh_coverage(pipeline: RunningPipeline) -> None:
    if pipeline.handler.ready:
        await pipeline.coverage.refresh()
    else:
        pipeline.coverage.forget()


def _lag(progress_and_ends: Mapping[TopicPartition, tuple[DeliveryProgress | None, int]]) -> int | None:
    """Return the events between committed offsets and log ends; None: a partition has no committed offset."""
    lag = 0
    for progress, end in progress_and_ends.values():
        if progress is None:
            return None
        lag += max(0, end - progress.offset)
    return lag

"""The report of one destination: status record, metrics and readiness."""

import asyncio
import contextlib
import math
import time
from dataclasses import replace

from consumer.flow_report import report_gauges
from consumer.group_names import PipelineFlow
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import backed_up_offsets, destination_status_key
from consumer.offsets.group_reader import ProgressAndEnds
from consumer.running_pipelines import RunningDestination, RunningPipeline, flow_state, refresh_coverage
from consumer.timing import ReporterTiming
from relay.errors import RelayError
from relay.kafka import KAFKA_FAILURES, KafkaError, TopicPartition
from relay.status.model import Status, take_over
from relay.status.reader import StatusCache
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.timestamps import DAY_MS, now_ms

_MEMBERSHIP_UNCONFIRMED = "Kafka does not confirm the membership of this process in its group; check that Kafka runs and is reachable"


class DestinationStatusReporter:
    """Reports the state of one destination, once a second.

    Every process reports its own metrics and readiness. The owner of partition 0 of the live flow writes the status record.
    Its counts are of earlier releases: each process has its own in its `DeliveryHistory`.
    """

    def __init__(
        self,
        destination: str,
        running: RunningDestination,
        shards: int,
        start: str,
        status_writer: StatusWriter,
        status_cache: StatusCache,
        metrics: ConsumerMetrics,
        health: Health,
        timing: ReporterTiming | None = None,
    ) -> None:
        self._destination = destination
        self._running = running
        self._shards = shards
        self._start = start
        self._status_writer = status_writer
        self._status_cache = status_cache
        self._metrics = metrics
        self._health = health
        self._timing = timing or ReporterTiming()
        self._status: Status | None = None
        self._progress_and_ends: dict[PipelineFlow, ProgressAndEnds] = {}
        self._lags: dict[PipelineFlow, int | None] = {each.name: None for each in running.pipelines}
        self._last_done = dict.fromkeys(("offsets", "unjoined", "backup", "renewal", "alarm"), -math.inf)
        self._assignments_read: dict[PipelineFlow, int] = {}
        """The number of assignments of each flow at the last reading of its offsets."""

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self.publish()
            await asyncio.sleep(self._timing.publish_seconds)

    async def publish(self) -> None:
        """Report once; write the status record when it has changed or has to be renewed."""
        await asyncio.gather(*map(refresh_coverage, self._running.active))
        state, reason = self._current_state()
        self._metrics.state_observed(
            self._destination, state, reason, wanted=self._running.paused_by_operator
        )
        self._publish_health(state, reason)
        self._update_gauges()
        if self._owns_status() or await self._reports_without_partitions():
            await self._write(state, reason)
        else:
            self._status, self._progress_and_ends = None, {}
            for pipeline in self._running.pipelines:
                pipeline.metrics.gauges.set_group_lag(None)

    async def stop(self) -> None:
        """Back up the offsets that are committed now, and end the validity of the status record, both at the next flush.

        Only if this process owns the record. Call it after the last commit, and before the process leaves its groups.
        """
        for what in ("offsets", "unjoined", "backup"):
            self._last_done[what] = -math.inf
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.stop_seconds):
                await self.publish()
        if self._status is not None:
            self._status_writer.expire(destination_status_key(self._destination), self._status, now_ms())

    def _publish_health(self, state: str, reason: str | None) -> None:
        """Report readiness. A destination without events does not notice that Kafka is silent, so the membership counts too.

        A pause by an operator is as it should be.
        """
        operating = state in {"active", "waiting"}
        began = state != "paused" and all(pipeline.handler.ready for pipeline in self._running.active)
        unconfirmed = began and not all(pipeline.member.valid for pipeline in self._running.active)
        risk = next(filter(None, (pipeline.topic_problem for pipeline in self._running.active)), None)
        if operating and risk is not None:
            reason = risk
        self._health.report(
            f"destination {self._destination}",
            ok=self._running.paused_by_operator or (operating and not unconfirmed and risk is None),
            reason=_MEMBERSHIP_UNCONFIRMED if unconfirmed else (reason or state).rstrip("."),
        )

    def _current_state(self) -> tuple[str, str | None]:
        if (problem := self._running.target_problem) is not None:
            return "paused", problem
        flows = [flow_state(pipeline) for pipeline in self._running.active]
        for wanted in ("paused", "waiting", "starting"):
            for state, reason in flows:
                if state == wanted:
                    return state, reason
        states = [pipeline.flow.state for pipeline in self._running.pipelines]
        risks = [pipeline.topic_problem for pipeline in self._running.active if pipeline.topic_problem]
        corrupt = [text for state in states for text in state.corrupt_batches]
        held = [text for state in states for text in state.held_partitions]
        rejections = [text for state in states for text in state.open_rejections]
        found = risks + corrupt + held + rejections + self._running.losses
        return "active", next(iter(found), self._running.notice)

    def _update_gauges(self) -> None:
        self._metrics.acceptance_lags.end_old(now_ms())
        for pipeline in self._running.pipelines:
            if pipeline.name == "older":
                self._update_older_gauges(pipeline)
                continue
            waited = report_gauges(pipeline, self._lags[pipeline.name], now_ms())
            if waited > pipeline.retention_seconds / 2 and self._due("alarm", self._timing.alarm_seconds):
                kept_days = pipeline.retention_seconds / 86_400
                pipeline.metrics.half_of_retention_passed(waited / 86_400, kept_days)

    def _update_older_gauges(self, pipeline: RunningPipeline) -> None:
        """Set the state of older events: active before they begin and after their end. Their age is no alarm, so it is not shown."""
        state = flow_state(pipeline)[0] if pipeline in self._running.active else "active"
        pipeline.metrics.gauges.set_state(state, oldest_seconds=None)

    def _owns_status(self) -> bool:
        live = self._running.pipelines[0]
        return live.member.valid and TopicPartition(live.topic, 0) in live.handler.partitions

    async def _reports_without_partitions(self) -> bool:
        """Return whether this process may not be a member, and no other reports on the destination.

        Its settings name another target, or an operator has paused the destination.
        """
        guard = self._running.pipelines[0].guard
        if guard is None or guard.reason_to_leave is None:
            return False
        latest = await self._status_cache.latest(destination_status_key(self._destination))
        own = self._status is not None and latest is not None and latest.epoch == self._status.epoch
        return latest is None or own or latest.valid_until < now_ms()

    async def _write(self, state: str, reason: str | None) -> None:
        now = now_ms()
        fresh = self._status is None
        if self._status is None:
            key = destination_status_key(self._destination)
            began = [each.handler.ready for each in self._running.active]
            try:  # until every start is known, it may be the one memory of the offsets
                known = await self._status_cache.to_continue(key, replaceable=any(began) and all(began))
            except KAFKA_FAILURES:
                return
            self._status = _without_old_counts(take_over(state, now, known), now)
        status = self._status.transition(state, reason, now)
        paused = self._running.paused_by_operator
        read = await (self._read_unjoined() if paused else self._read_offsets())
        if read:
            lag = self._lag()
            status = replace(status, lag=lag).with_slot(now, lag=lag)
        if self._due("backup", self._timing.backup_seconds) or fresh or (read and paused):
            flows = [made for flow, made in self._progress_and_ends.items() if flow != "older"]
            committed = {each: made for flow in flows for each, (made, _) in flow.items()}
            status = replace(
                status,
                offsets=backed_up_offsets(status.offsets, committed),
                older_offsets=backed_up_offsets(status.older_offsets, self._running.older_progress),
            )
        wait = max(pipeline.flow.routes.wait_seconds for pipeline in self._running.pipelines)
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
        compared = ("state", "reason", "lag", "offsets")
        return any(getattr(previous, fact) != getattr(status, fact) for fact in compared)

    async def _read_offsets(self) -> bool:
        """Read committed offsets and log ends of every flow, if it is time; return whether it was.

        The lag is not known where Kafka does not answer.
        """
        if not self._due("offsets", self._timing.offsets_seconds):
            return False
        for pipeline in self._running.pipelines:
            self._lags[pipeline.name] = None
            if pipeline not in self._running.active:
                pipeline.metrics.gauges.set_group_lag(None)
                continue
            numbers = pipeline.coverage.partitions or range(self._shards)
            partitions = [TopicPartition(pipeline.topic, number) for number in sorted(numbers)]
            assignments = pipeline.handler.assignments
            try:
                async with asyncio.timeout(self._timing.offsets_timeout_seconds):
                    progress_and_ends = await pipeline.handler.progress_and_ends(partitions)
            except (KafkaError, TimeoutError):
                pass
            else:
                self._progress_and_ends[pipeline.name] = progress_and_ends
                self._note_assignments(pipeline.name, assignments)
                if pipeline.coverage.problem is None:
                    self._lags[pipeline.name] = _lag(progress_and_ends, pipeline.name)
            pipeline.metrics.gauges.set_group_lag(self._lags[pipeline.name])
        return True

    async def _read_unjoined(self) -> bool:
        """Read the same without membership, while an operator has paused the destination.

        The operator may move the offsets meanwhile. The backup must follow: Kafka forgets the offsets of a group that is left.
        """
        if not self._due("unjoined", self._timing.unjoined_seconds):
            return False
        for pipeline in self._running.active:
            self._lags[pipeline.name] = None
            if pipeline.read_unjoined is None:
                continue
            with contextlib.suppress(RelayError, *KAFKA_FAILURES):
                async with asyncio.timeout(self._timing.unjoined_timeout_seconds):
                    progress_and_ends = (await pipeline.read_unjoined()).partitions
                self._progress_and_ends[pipeline.name] = progress_and_ends
                self._lags[pipeline.name] = _lag(progress_and_ends, pipeline.name)
            pipeline.metrics.gauges.set_group_lag(self._lags[pipeline.name])
        return True

    def _note_assignments(self, flow: PipelineFlow, assignments: int) -> None:
        """Make the backup due where the group has rebalanced: a member that left may have delivered much since the last one."""
        if self._assignments_read.get(flow) != assignments:
            self._assignments_read[flow] = assignments
            self._last_done["backup"] = -math.inf

    def _lag(self) -> int | None:
        """Return how many events of all flows are not accepted; None: that of a flow is not known."""
        lags = [self._lags[pipeline.name] for pipeline in self._running.active]
        return None if None in lags else sum(lag for lag in lags if lag is not None)

    def _due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._last_done[what] < seconds:
            return False
        self._last_done[what] = now
        return True


def _without_old_counts(status: Status, now: int) -> Status:
    """Return the status without the counts that an earlier release wrote and nobody shows any more."""
    return replace(status, counts=tuple(each for each in status.counts if now - each.hour <= DAY_MS))


def _lag(progress_and_ends: ProgressAndEnds, flow: PipelineFlow) -> int | None:
    """Return the events between committed offsets and ends; None: a partition has no committed offset.

    Older events end where live ones begin.
    """
    lag = 0
    for progress, end in progress_and_ends.values():
        if progress is None:
            return None
        older_end = progress.live_from if flow == "older" and progress.live_from is not None else end
        lag += max(0, min(end, older_end) - progress.offset)
    return lag

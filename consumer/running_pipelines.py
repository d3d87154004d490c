"""The pipelines of a destination as they run, and the state of each flow."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from consumer.assignment.coverage import CoverageCheck
from consumer.assignment.handler import AssignmentHandler
from consumer.delivery.flow import DeliveryFlow
from consumer.destinations.outcome import Paused, Retry
from consumer.group_names import PipelineFlow
from consumer.losses.loss_log import LossLog
from consumer.losses.refilled import RefilledRanges
from consumer.metrics import PipelineMetrics
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.group_reader import GroupProgress
from consumer.older_events import OlderEvents
from consumer.replay.membership import ReplayMembership
from consumer.targets.guard import RunMembership, TargetGuard
from consumer.topic_settings import DEFAULT_RETENTION_SECONDS, TopicSettings
from relay.kafka import TopicPartition
from relay.kafka.consumer_group import Member


@dataclass(frozen=True, slots=True)
class RunningPipeline:
    """One flow of a destination as it runs."""

    topic: str
    member: Member
    handler: AssignmentHandler
    flow: DeliveryFlow
    metrics: PipelineMetrics
    coverage: CoverageCheck
    topic_settings: TopicSettings | None = None
    """Of all topics; None: they are not looked at."""
    name: PipelineFlow = "live"
    guard: TargetGuard | None = None
    """Of the flow's target; None: every process may be a member, as in tests."""
    read_unjoined: Callable[[], Awaitable[GroupProgress]] | None = None
    """Reads members and offsets of its group without membership; raises RelayError or an error of KAFKA_FAILURES. None: as in tests."""

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
        return self.flow.problem


@dataclass(frozen=True, slots=True)
class RunningDestination:
    """The flows of a destination, live first, and the course of its older events; None: it has none, as in tests."""

    pipelines: Sequence[RunningPipeline]
    older_events: OlderEvents | None = None
    loss_log: LossLog | None = None
    """Its lost ranges; None: they are not recorded, as in tests."""
    replays: ReplayMembership | None = None
    """Its replays; None: it has none, as in tests."""
    refilled: RefilledRanges | None = None
    """Takes lost ranges off that a replay has brought back; None: as in tests."""

    @property
    def active(self) -> Sequence[RunningPipeline]:
        """The flows that take part now: that of older events has no state before and after its delivery."""
        delivering = self.older_events is not None and self.older_events.phase == "delivering"
        return [each for each in self.pipelines if each.name != "older" or delivering]

    @property
    def older_progress(self) -> Mapping[TopicPartition, DeliveryProgress]:
        """The committed progress of the group of older events, as far as this process knows."""
        return self.older_events.progress if self.older_events is not None else {}

    @property
    def memberships(self) -> Sequence[RunMembership]:
        """The memberships of this process, each while its flow belongs to its target.

        Older events and replays go to the target of history; without one, replays that go to the live target are left.
        """
        runs = [(each.guard, [each.member.run]) for each in self.pipelines if each.name != "older"]
        if self.older_events is not None:
            runs[-1][1].append(self.older_events.run)
        if self.replays is not None:
            runs[-1][1].append(self.replays.run)
        return [
            each
            for guard, joins in runs
            for each in ([partial(guard.run, joins)] if guard is not None else joins)
        ]

    @property
    def loss_work(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """What follows its lost ranges, each until cancelled."""
        return [each.run for each in (self.loss_log, self.refilled) if each is not None]

    @property
    def losses(self) -> list[str]:
        """What the status says about rows that the destination dropped, lost events, and events that are delivered again."""
        states = [each.flow.state for each in self.pipelines]
        drops = [text for state in states for text in state.drops]
        mismatches = [text for state in states for text in state.mismatches]
        lost = None if self.loss_log is None else self.loss_log.text
        return drops + ([] if lost is None else [lost]) + mismatches

    @property
    def paused_by_operator(self) -> bool:
        """Whether an operator has paused the destination, and nothing else is wrong that is known."""
        guard = self.pipelines[0].guard
        return guard is not None and guard.pause is not None and self.target_problem is None

    @property
    def target_problem(self) -> str | None:
        """Why an operator must act on the target of a flow; None: each flow belongs to its target, as far as known."""
        guards = (each.guard for each in self.pipelines if each.guard is not None)
        return next((each.problem for each in guards if each.problem is not None), None)

    @property
    def notice(self) -> str | None:
        """What an operator must know about targets or older events; None: nothing."""
        guards = [each.guard.notice for each in self.pipelines if each.guard is not None]
        others = [each.notice for each in (self.older_events, self.replays) if each is not None]
        return next(filter(None, (*guards, *others)), None)


def flow_state(pipeline: RunningPipeline) -> tuple[str, str | None]:
    """Return the state of one flow, and its reason."""
    if pipeline.guard is not None and pipeline.guard.reason_to_leave is not None:
        return "paused", pipeline.guard.reason_to_leave
    if pipeline.guard is not None and pipeline.guard.waiting is not None:
        return "starting", pipeline.guard.waiting
    problem = pipeline.problem
    if problem is not None:
        reason = " ".join((problem.reason, *pipeline.flow.state.held_partitions[:1]))
        if isinstance(problem, Paused):
            return "paused", reason
        return "waiting", reason
    if not pipeline.handler.ready:
        return "starting", pipeline.member.trouble or pipeline.handler.waiting_reason
    if pipeline.coverage.problem is not None:
        return "starting", pipeline.coverage.problem
    return "active", None


async def refresh_coverage(pipeline: RunningPipeline) -> None:
    if pipeline.handler.ready:
        await pipeline.coverage.refresh()
    else:
        pipeline.coverage.forget()

"""The hold of partitions whose events a route does not accept.

A partition has the events of several organizations and one offset. While one of them is not accepted, the offset waits and the
others are delivered behind it, as far as memory and the delivered ranges of an offset reach. Then the partition is held: it is
not read, and its records that were read wait. Other partitions go on.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from consumer.assignment.pipeline import Pipeline
from consumer.assignment.reading_pauses import ReadingPauses
from consumer.assignment.record_buffer import RecordBuffer
from consumer.assignment.route_queues import RouteQueues
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.routes import named_first, organizations_of
from consumer.delivery.sender import Sender
from consumer.offsets.committer import CommitLoop
from consumer.timing import RouteHoldTiming
from relay.kafka import TopicPartition
from relay.timestamps import now_ms, to_iso_seconds

_CAUSE = "route"
_WITNESS_FACTOR = 10
"""How many times more delivered records may wait behind an event that needs evidence."""


@dataclass(frozen=True, slots=True)
class HoldCause:
    route: str | None
    needs_witness: bool
    by_offset: bool
    """Whether its offset can hold no more; else its route has its share of memory."""


@dataclass(frozen=True, slots=True)
class Hold:
    """`since` and `read_again_at` are seconds of the monotonic clock, `since_ms` is UTC."""

    cause: HoldCause
    since: float
    since_ms: int
    read_again_at: float


class RouteHolds:
    """Holds partitions for as long as a route in them has its share of memory, or their offsets cannot be committed.

    A rejected event may need another one of its route as evidence, which is behind the hold: so a partition that is held for
    it is read for a moment now and then.
    """

    def __init__(
        self,
        flow: DeliveryFlow,
        partitions: Collection[TopicPartition],
        queues: RouteQueues,
        commits: CommitLoop,
        buffer: RecordBuffer,
        pauses: ReadingPauses,
        timing: RouteHoldTiming,
        on_space_freed: Callable[[], None],
    ) -> None:
        self._flow = flow
        self._partitions = partitions
        self.queues = queues
        self._commits = commits
        self._buffer = buffer
        self._pauses = pauses
        self._timing = timing
        self._on_space_freed = on_space_freed
        self._holds: dict[TopicPartition, Hold] = {}
        self._paused: set[TopicPartition] = set()
        self._max_uncommittable = max(
            1, flow.destination.limits.max_uncommitted // max(1, 2 * len(partitions))
        )

    @property
    def seconds_until_due(self) -> float | None:
        """Seconds until the next `update` and `start_ready`; None: no partition is held, and no body waits."""
        return self._timing.check_seconds if self._holds or self.queues.waits else None

    def update(self, now: float) -> None:
        """Hold and release partitions. `now` is the monotonic clock, in seconds."""
        wanted = self._wanted()
        for partition in self._holds.keys() - wanted.keys():
            del self._holds[partition]
            self._flow.state.partition_released(partition)
        for partition, cause in wanted.items():
            self._holds[partition] = self._hold(partition, cause, now)
            self._report(partition, now)
        for partition in self._partitions:
            self._pause(partition, paused=self._is_paused(partition, now))

    def start_ready(self) -> None:
        """Send the bodies that may be sent now."""
        held = {each for each in self._paused if self._holds[each].cause.by_offset}
        self.queues.start_ready(held)

    def _wanted(self) -> Mapping[TopicPartition, HoldCause]:
        """Return the partitions to hold, and why."""
        found: dict[TopicPartition, HoldCause] = {}
        for overload in self.queues.overloads(self._holds):
            cause = HoldCause(overload.route, overload.needs_witness, by_offset=False)
            found |= dict.fromkeys(overload.partitions, cause)
        for partition in self.crowded():
            blocking = self.queues.blocking_route(partition)
            if blocking is not None and not (blocking[1] and self._may_wait_for_witness(partition)):
                found[partition] = HoldCause(*blocking, by_offset=True)
        return found

    def _may_wait_for_witness(self, partition: TopicPartition) -> bool:
        """Return whether a partition is read on for evidence: one bad event of a quiet organization must not hold up others soon."""
        return self._commits.uncommittable(partition) < _WITNESS_FACTOR * self._max_uncommittable

    def crowded(self) -> list[TopicPartition]:
        """Return the partitions with many delivered records that no offset can hold, behind one that is not delivered."""
        found = []
        for partition in self._partitions:
            enough = self._max_uncommittable // 2 if partition in self._holds else self._max_uncommittable
            if self._commits.uncommittable(partition) >= max(1, enough):
                found.append(partition)
        return found

    def _hold(self, partition: TopicPartition, cause: HoldCause, now: float) -> Hold:
        former = self._holds.get(partition)
        since, since_ms = (former.since, former.since_ms) if former else (now, now_ms())
        again = former.read_again_at if former else now + self._timing.witness_seconds
        if now >= again + self._timing.witness_reading_seconds:
            again = now + self._timing.witness_seconds
        return Hold(cause, since, since_ms, again)

    def _is_paused(self, partition: TopicPartition, now: float) -> bool:
        hold = self._holds.get(partition)
        return hold is not None and not (hold.cause.needs_witness and now >= hold.read_again_at)

    def _pause(self, partition: TopicPartition, *, paused: bool) -> None:
        if paused == (partition in self._paused):
            return
        if paused:
            self._paused.add(partition)
            self._pauses.hold(partition, _CAUSE)
            self._buffer.set_aside(partition)
        else:
            self._paused.discard(partition)
            self._buffer.restore(partition)
            self._pauses.release(partition, _CAUSE)
        self._on_space_freed()

    def _report(self, partition: TopicPartition, now: float) -> None:
        hold = self._holds[partition]
        if now - hold.since < self._timing.report_seconds:
            return
        routes = self._flow.destination.limits.routes
        own = {name for name, route in routes.items() if route == hold.cause.route}
        names = self._buffer.organizations(partition) - own
        if hold.cause.route is None:
            names &= routes.keys()
        waiting = f" Events of {named_first(sorted(names))} wait behind them." if names else ""
        self._flow.state.partition_held(
            partition,
            f"All events of {partition.topic}, partition {partition.partition}, wait since {to_iso_seconds(hold.since_ms)} for"
            f" those of {organizations_of(hold.cause.route, routes)}, which the destination has not accepted.{waiting}"
            " Correct their route, or give it a destination of its own.",
        )

    def close(self) -> None:
        """Withdraw the report on the status: the records wait elsewhere from now on."""
        for partition in self._holds:
            self._flow.state.partition_released(partition)


def route_holds(
    pipeline: Pipeline,
    partitions: Collection[TopicPartition],
    sender: Sender,
    commits: CommitLoop,
    buffer: RecordBuffer,
    pauses: ReadingPauses,
    on_space_freed: Callable[[], None],
) -> RouteHolds | None:
    """Return the holds and queues of one assignment. None: the destination has no routes."""
    flow = pipeline.flow
    if not flow.destination.limits.routes:
        return None
    timing = pipeline.timing.route_hold
    queues = RouteQueues(flow, sender, commits, timing.silent_seconds)
    return RouteHolds(flow, partitions, queues, commits, buffer, pauses, timing, on_space_freed)

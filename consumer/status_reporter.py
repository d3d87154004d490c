"""What is told of a destination: on the status board, in the metrics and on the health page."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from consumer.assignment.handler import Forwarder
from consumer.assignment.start_offsets import Mirror
from consumer.decoding.schema_lookup import Schemas
from consumer.delivery.sender import Outlet
from consumer.destinations.outcome import Paused, Retry
from consumer.metrics import FlowMetrics, Metrics
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.status.model import GroupOffset, Status, take_over
from relay.status.reader import StatusHistory, read_statuses
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.timestamps import now_ms

BEAT_SECONDS = 1.0
STANDING_SECONDS = 2.0
LOOK_SECONDS = 2.0
MIRROR_SECONDS = 60.0
RENEW_SECONDS = 15.0
VALID_MS = 60_000
HALF_OF_RETENTION_SECONDS = 15 * 86_400.0
ALARM_SECONDS = 3600.0
_SILENT = (
    "Kafka does not confirm that this is a member of its group; see whether Kafka runs and can be reached"
)


def status_key(destination: str) -> str:
    """Key of a destination's record on the status topic."""
    return f"destination/{destination}"


async def mirror(connection: Connection, topic: str, destination: str, of: str) -> Mirror:
    """The offsets of topic `of` as they were last told. Raises RelayError or KafkaError where the status topic cannot be read."""
    status = (await read_statuses(connection, topic)).get(status_key(destination))
    if status is None:
        return Mirror({}, 0)
    told = {TopicPartition(each.topic, each.partition): each.offset for each in status.offsets}
    return Mirror({each: offset for each, offset in told.items() if each.topic == of}, status.at)


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow of a destination, live or history."""

    topic: str
    member: Member
    forwarder: Forwarder
    outlet: Outlet
    schemas: Schemas
    metrics: FlowMetrics


class Report:
    """Tells how one destination is doing, once a second.

    Every process tells its own metrics and health. The status record is written by the one that has partition 0 of the live
    flow; its counts are of that process alone.
    """

    def __init__(
        self,
        destination: str,
        flows: Sequence[Flow],
        shards: int,
        start: str,
        status_writer: StatusWriter,
        status_history: StatusHistory,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._destination = destination
        self._flows = flows
        self._shards = shards
        self._start = start
        self._status_writer = status_writer
        self._status_history = status_history
        self._metrics = metrics
        self._health = health
        self._status: Status | None = None
        self._state: str | None = None
        self._told = {flow.topic: (0, 0) for flow in flows}
        self._standing: dict[str, Mapping[TopicPartition, tuple[int | None, int]]] = {}
        self._last = dict.fromkeys(("standing", "mirror", "renewal", "alarm"), -1e9)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(BEAT_SECONDS)

    async def tell(self) -> None:
        state, reason = self._state_now()
        if state != self._state:
            if self._state is not None or state == "active":
                self._metrics.state_changed(self._destination, state, reason)
            self._state = state
        self._tell_health(state, reason)
        self._measure()
        if self._owner():
            await self._write(state, reason)
        else:
            self._status = None

    def _tell_health(self, state: str, reason: str | None) -> None:
        """Not ready either where Kafka is silent, of which a destination that waits for others knows nothing."""
        works = state in {"active", "waiting"}
        silent = works and not all(flow.member.valid for flow in self._flows)
        self._health.report(
            f"destination {self._destination}",
            ok=works and not silent,
            reason=_SILENT if silent else (reason or state).rstrip("."),
        )

    def _state_now(self) -> tuple[str, str | None]:
        for flow in self._flows:
            if isinstance(flow.outlet.trouble, Paused):
                return "paused", flow.outlet.trouble.reason
            if flow.schemas.trouble is not None:
                return "paused", flow.schemas.trouble
        for flow in self._flows:
            if isinstance(flow.outlet.trouble, Retry):
                return "waiting", flow.outlet.trouble.reason
        for flow in self._flows:
            if not flow.forwarder.ready:
                return "starting", flow.forwarder.waits
        damage = [text for flow in self._flows for text in flow.outlet.damage.values()]
        losses = [flow.outlet.loss for flow in self._flows if flow.outlet.loss]
        return "active", next(iter(damage + losses), None)

    def _measure(self) -> None:
        for flow in self._flows:
            trouble, oldest = flow.outlet.trouble, flow.forwarder.oldest_seconds()
            paused = isinstance(trouble, Paused) or flow.schemas.trouble is not None
            flow.metrics.state(paused=paused, oldest_seconds=oldest)
            if oldest > HALF_OF_RETENTION_SECONDS and self._due("alarm", ALARM_SECONDS):
                flow.metrics.half_of_retention(oldest / 86_400)

    def _owner(self) -> bool:
        live = self._flows[0]
        return live.member.valid and TopicPartition(live.topic, 0) in live.forwarder.partitions

    async def _write(self, state: str, reason: str | None) -> None:
        now = now_ms()
        fresh = self._status is None
        if self._status is None:
            self._status = take_over(
                state, now, await self._status_history.latest(status_key(self._destination))
            )
        status = self._counted(self._status.transition(state, reason, now), now)
        if self._due("standing", STANDING_SECONDS):
            await self._look()
            status = replace(status, lag=self._lag())
        if self._due("mirror", MIRROR_SECONDS) or fresh:
            status = replace(status, offsets=self._mirrored(status.offsets))
        wait = max(flow.outlet.gate.wait_seconds for flow in self._flows)
        waiting = now + int(wait * 1000) if state == "waiting" else None
        status = replace(status, waiting_until=waiting, start=status.start or self._start).valid_for(VALID_MS)
        if self._is_news(status) or self._due("renewal", RENEW_SECONDS):
            self._status_writer.put(status_key(self._destination), status)
        self._status = status

    def _is_news(self, status: Status) -> bool:
        before = self._status
        if before is None:
            return True
        facts = ("state", "reason", "counts", "lag", "offsets")
        return any(getattr(before, fact) != getattr(status, fact) for fact in facts)

    def _counted(self, status: Status, now: int) -> Status:
        for flow in self._flows:
            accepted, buried = self._told[flow.topic]
            self._told[flow.topic] = (flow.outlet.accepted, flow.outlet.buried)
            events, letters = flow.outlet.accepted - accepted, flow.outlet.buried - buried
            if events or letters:
                status = status.with_counts(now, events=events, dead_letters=letters)
        return status

    async def _look(self) -> None:
        """Committed offsets and ends of all partitions of both flows, as far as Kafka tells."""
        for flow in self._flows:
            partitions = [TopicPartition(flow.topic, number) for number in range(self._shards)]
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    standing = await flow.forwarder.standing(partitions)
            except (KafkaError, TimeoutError):
                continue
            self._standing[flow.topic] = standing
            flow.metrics.group_lag(_lag(standing))

    def _lag(self) -> int | None:
        if len(self._standing) < len(self._flows):
            return None
        return sum(_lag(standing) for standing in self._standing.values())

    def _mirrored(self, before: Sequence[GroupOffset]) -> tuple[GroupOffset, ...]:
        known = {(each.topic, each.partition): each for each in before}
        for standing in self._standing.values():
            for (topic, partition), (committed, _) in standing.items():
                if committed is not None:
                    known[topic, partition] = GroupOffset(topic, partition, committed)
        return tuple(known[place] for place in sorted(known))

    def _due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._last[what] < seconds:
            return False
        self._last[what] = now
        return True


def _lag(standing: Mapping[TopicPartition, tuple[int | None, int]]) -> int:
    return sum(max(0, end - committed) for committed, end in standing.values() if committed is not None)

"""What the watch over days shows: metrics, log lines, a status of its process, and one of each organization that is not complete."""

import asyncio
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry

from management.completeness import metrics as catalogue
from management.completeness.attention import Attention, worst_first
from management.completeness.findings import STATUS_PREFIX
from management.completeness.ownership import Ownership
from management.completeness.sealing import SealResult
from relay.condition_log import ConditionLog
from relay.kafka.producer import RecordWriter
from relay.status.model import service_key, take_over
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.telemetry.metrics import MetricSet

NAME = "proof"
WAITING = "Of several processes one counts the days; this one waits until it is the one"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DayWatchTiming:
    """Seconds. `round_seconds`: between the beginnings of two rounds. `rest`: the pause is at least so many times the round.

    `rest_seconds`: the longest pause for that reason. A round is long too where many sites do not answer, and they may soon.
    """

    round_seconds: float = 1_800.0
    rest: float = 9.0
    rest_seconds: float = 21_600.0
    retry_seconds: float = 60.0
    status_seconds: float = 20.0

    def pause(self, took: float) -> float:
        """Return the seconds between a round that took so long and the next one."""
        return max(self.round_seconds - took, min(self.rest * took, self.rest_seconds), 0.0)


class WatchReport:
    """Keeps what was last shown of each organization, until the next owner shows it."""

    def __init__(
        self,
        now_ms: Callable[[], int],
        writer: RecordWriter,
        status_topic: str,
        registry: CollectorRegistry,
        health: Health,
        timing: DayWatchTiming,
    ) -> None:
        self._now_ms, self._health, self._timing = now_ms, health, timing
        self._metrics = MetricSet(catalogue.CATALOGUE, registry)
        self.status_writer = StatusWriter(writer, status_topic)
        self._attention: dict[str, Attention] = {}
        self._began = time.monotonic()
        """When the round began."""
        self.status = take_over("starting", now_ms())
        self._conditions = ConditionLog(log)

    def begin(self) -> None:
        """Show that a round has begun."""
        self.tell("active", "a round over all organizations has begun")
        self._began = time.monotonic()

    def attend(self, name: str, found: Attention, overdue_ms: int) -> None:
        """Show the state of an organization as metric and, while it is not complete, as status."""
        self._metrics.set_state(catalogue.ORGANIZATION_STATE, found.state, organization=name)
        self._metrics[catalogue.SEAL_OVERDUE].labels(name).set(overdue_ms / 1000)
        before, key, now = self._attention.get(name), f"{STATUS_PREFIX}{name}", self._now_ms()
        self._attention[name] = found
        if found.state == "complete":
            if before is None or before.state != "complete":
                self.status_writer.tombstone(key)
            if before is not None and before.state != "complete":
                log.info("The days of an organization are complete again.", organization=name)
            return
        known = self.status_writer.last_put(key) or take_over(found.state, now)
        self.status_writer.put(
            key, known.transition(found.state, found.reason, now).valid_for(self._valid_ms())
        )
        if before is None or before.state != found.state:
            log.warning(
                "Days of an organization are not complete.",
                organization=name,
                state=found.state,
                reason=found.reason,
            )

    def _valid_ms(self) -> int:
        """Return how long a status holds, which is three rounds with their pauses: a difference must not vanish between two."""
        took = time.monotonic() - self._began
        return int((took + self._timing.pause(took)) * 3_000) + 900_000

    def keep_only(self, names: Container[str]) -> None:
        """Forget organizations that are gone."""
        for name in [each for each in self._attention if each not in names]:
            del self._attention[name]
            self._metrics.remove(organization=name)
            self.status_writer.tombstone(f"{STATUS_PREFIX}{name}")

    def forget(self) -> None:
        """Leave everything to the next owner."""
        for name in self._attention:
            self.status_writer.forget(f"{STATUS_PREFIX}{name}")
            self._metrics.remove(organization=name)
        self._attention.clear()

    def end(self, results: Sequence[SealResult], count: int, took: float) -> None:
        """Show how a round ended."""
        sealed, failed = sum(len(each.seals) for each in results), [each for each in results if each.failure]
        state = "complete" if not failed and len(results) == count else "partial"
        went_round = len(results) == count and (not results or any(each.is_reached for each in results))
        self._metrics[catalogue.SEALS].inc(sealed)
        self._metrics[catalogue.ROUND_DURATION].set(took)
        self._metrics.set_state(catalogue.ROUND_STATE, state)
        if (
            went_round
        ):  # an organization that fails is named by its own state, and must not hide that rounds stop
            self._metrics[catalogue.LAST_ROUND].set(self._now_ms() / 1000)
        if state == "complete":
            self._conditions.ended("round", "Every organization's days are counted again; they were not")
        else:
            reason = failed[0].failure if failed else "The round ended early."
            text = "The days of some organizations were not counted."
            self._conditions.failed("round", text, text, {"organizations": len(failed), "reason": reason})
        log.info("A round over days ended.", organizations=count, seals=sealed, seconds=round(took, 1))
        self.tell("active", self._summary(count, took))

    def _summary(self, count: int, took: float) -> str:
        named = list(worst_first(self._attention))
        rest = f": {', '.join(named[:5])}{' and more' if len(named) > 5 else ''}" if named else ""
        return f"{len(named):,} of {count:,} organizations are not complete{rest}; the last round took {took:.0f} s"

    def fail(self, reason: str) -> None:
        """Show that days could not be counted."""
        self._metrics.set_state(catalogue.ROUND_STATE, "failed")
        self._conditions.failed(
            "round", reason, "Days could not be counted; the relay tries again.", {"reason": reason}
        )
        self.tell("failing", reason)

    def tell(self, state: str, reason: str) -> None:
        """Set the state of the process."""
        self.status = self.status.transition(state, reason, self._now_ms())
        self._health.report(NAME, ok=state != "failing", reason=reason.rstrip("."))

    async def keep_status(
        self, ownership: Ownership, trouble: Callable[[], str | None] = lambda: None
    ) -> None:
        """Write the status of the process again and again, until cancelled. `trouble`: why Kafka does not let it join the others."""
        while True:
            if not ownership.owns:
                refused = trouble()
                self.tell("waiting" if refused is None else "failing", refused or WAITING)
            valid = int(self._timing.status_seconds * 3_000)
            status = self.status.transition(self.status.state, self.status.reason, self._now_ms())
            self.status_writer.put(service_key(NAME), status.valid_for(valid))
            await asyncio.sleep(self._timing.status_seconds)

    def end_status(self) -> None:
        """Take the status of the process away."""
        self.status_writer.tombstone(service_key(NAME))

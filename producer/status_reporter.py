import asyncio
from collections.abc import Callable
from dataclasses import replace

from producer.metrics import ProducerMetrics
from producer.publishing.publisher import PublishResult
from relay.organizations import Organization
from relay.status.model import Status, take_over
from relay.status.writer import StatusWriter

VALID_MS = 300_000
HEARTBEAT_SECONDS = 60.0


def status_key(organization: str) -> str:
    """Key of an organization's record on the status topic."""
    return f"producer/{organization}"


class StatusReporter:
    """What one organization's owner tells of it: on the status topic and in the metrics, from the same call.

    States: active; waiting (until when); failing (why); paused. Beside them, how far history has been read.
    """

    def __init__(
        self,
        organization: Organization,
        status_writer: StatusWriter,
        metrics: ProducerMetrics,
        now_ms: Callable[[], int],
        interval_seconds: float,
        previous: Status | None,
    ) -> None:
        self._name = organization.name
        self._credential_expires = organization.credential_expires
        self._status_writer = status_writer
        self._metrics = metrics
        self._now_ms = now_ms
        self._valid_ms = max(VALID_MS, int(3 * interval_seconds * 1000))
        resumes = previous is not None and previous.state != "paused" and not organization.paused
        state = previous.state if previous and resumes else "paused" if organization.paused else "active"
        self._status = take_over(state, now_ms(), previous, previous.reason if previous and resumes else None)
        self._publish(self._status)

    @property
    def status(self) -> Status:
        return self._status

    async def heartbeat(self) -> None:
        """What was told still holds, as long as this is awaited."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._publish(replace(self._status, at=self._now_ms()))

    def active(self, clock_ahead_ms: int = 0) -> None:
        """Jira answered with something we understand. A clock of ours that is far ahead of Jira's, or behind, is told."""
        now = self._now_ms()
        reason = _skew_message(clock_ahead_ms) if clock_ahead_ms else None
        if reason is not None and reason != self._status.reason:
            self._metrics.clock_skew(self._name, reason)
        self._publish(
            replace(self._status.transition("active", reason, now), last_poll=now, waiting_until=None)
        )
        self._metrics.round_ended(self._name, now)

    def failing(self, kind: str, reason: str, retry_seconds: float, *, waiting: bool) -> None:
        """Jira did not give records; `waiting`: because it asked us to come back later."""
        now = self._now_ms()
        state = "waiting" if waiting else "failing"
        status = self._status.transition(state, reason, now)
        self._publish(replace(status, waiting_until=now + int(retry_seconds * 1000)))
        self._metrics.round_failed(self._name, kind, reason, retry_seconds)

    def events_published(self, result: PublishResult) -> None:
        if not result.events_by_mode and not result.dead_letters:
            return
        late = result.events_by_mode["late"]
        status = self._status.with_counts(
            self._now_ms(), sum(result.events_by_mode.values()), late, result.dead_letters
        )
        newest = max(filter(None, (self._status.last_event, result.newest_created)), default=None)
        self._publish(replace(status, last_event=newest, at=self._now_ms()))

    def complete_up_to(self, ms: int) -> None:
        """Every record created up to here that Jira showed is in Kafka."""
        self._publish(replace(self._status, complete_up_to=ms, at=self._now_ms()))
        self._metrics.complete_up_to(self._name, ms)

    def backfilled_to(self, ms: int | None) -> None:
        """How far back history has been read; None: all that was asked for."""
        self._publish(replace(self._status, backfilled_to=ms, at=self._now_ms()))

    def _publish(self, status: Status) -> None:
        self._status = status.valid_for(self._valid_ms)
        self._status_writer.put(status_key(self._name), self._status)
        self._metrics.organization_state(
            self._name, failing=status.state == "failing", expires=self._credential_expires
        )


def _skew_message(ahead_ms: int) -> str:
    """In minutes, so that it is told once and not each time it varies a little."""
    minutes = max(1, round(abs(ahead_ms) / 60_000))
    direction = "ahead of" if ahead_ms > 0 else "behind"
    return f"The clock of this machine is about {minutes} min {direction} Jira's: set it right, or events come late."

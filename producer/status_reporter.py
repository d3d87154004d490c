import asyncio
from collections.abc import Callable
from dataclasses import replace

from producer.metrics import Metrics
from producer.publishing.publisher import Published
from relay.organizations import Organization
from relay.status.model import Status, take_over
from relay.status.writer import StatusWriter

VALID_MS = 300_000
RENEW_SECONDS = 60.0


def status_key(organization: str) -> str:
    """Key of an organization's record on the status topic."""
    return f"producer/{organization}"


class Report:
    """What one organization's owner tells of it: on the status board and in the metrics, from the same call.

    States: active; waiting (until when); failing (why); paused. Beside them, how far history has been read.
    """

    def __init__(
        self,
        organization: Organization,
        status_writer: StatusWriter,
        metrics: Metrics,
        now_ms: Callable[[], int],
        interval_seconds: float,
        previous: Status | None,
    ) -> None:
        self._name = organization.name
        self._expires = organization.credential_expires
        self._status_writer = status_writer
        self._metrics = metrics
        self._now_ms = now_ms
        self._valid_ms = max(VALID_MS, int(3 * interval_seconds * 1000))
        going_on = previous is not None and previous.state != "paused" and not organization.paused
        state = previous.state if previous and going_on else "paused" if organization.paused else "active"
        self._status = take_over(
            state, now_ms(), previous, previous.reason if previous and going_on else None
        )
        self._post(self._status)

    @property
    def status(self) -> Status:
        return self._status

    async def renew_for_ever(self) -> None:
        """What was told still holds, as long as this is awaited."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            self._post(replace(self._status, at=self._now_ms()))

    def active(self, clock_ahead_ms: int = 0) -> None:
        """Jira answered with something we understand. A clock of ours that is far ahead of Jira's, or behind, is told."""
        now = self._now_ms()
        reason = _skew(clock_ahead_ms) if clock_ahead_ms else None
        if reason is not None and reason != self._status.reason:
            self._metrics.clock_skewed(self._name, reason)
        self._post(replace(self._status.transition("active", reason, now), last_poll=now, waiting_until=None))
        self._metrics.round_ended(self._name, now)

    def failing(self, kind: str, reason: str, retry_seconds: float, *, waiting: bool) -> None:
        """Jira did not give records; `waiting`: because it asked us to come back later."""
        now = self._now_ms()
        state = "waiting" if waiting else "failing"
        moved = self._status.transition(state, reason, now)
        self._post(replace(moved, waiting_until=now + int(retry_seconds * 1000)))
        self._metrics.failed(self._name, kind, reason, retry_seconds)

    def published(self, published: Published) -> None:
        if not published.modes and not published.dead_letters:
            return
        late = published.modes["late"]
        counted = self._status.with_counts(
            self._now_ms(), sum(published.modes.values()), late, published.dead_letters
        )
        newest = max(filter(None, (self._status.last_event, published.newest)), default=None)
        self._post(replace(counted, last_event=newest, at=self._now_ms()))

    def complete_up_to(self, ms: int) -> None:
        """Every record created up to here that Jira showed is in Kafka."""
        self._post(replace(self._status, complete_up_to=ms, at=self._now_ms()))
        self._metrics.complete_up_to(self._name, ms)

    def backfilled_to(self, ms: int | None) -> None:
        """How far back history has been read; None: all that was asked for."""
        self._post(replace(self._status, backfilled_to=ms, at=self._now_ms()))

    def _post(self, status: Status) -> None:
        self._status = status.valid_for(self._valid_ms)
        self._status_writer.put(status_key(self._name), self._status)
        self._metrics.state(self._name, failing=status.state == "failing", expires=self._expires)


def _skew(ahead_ms: int) -> str:
    """In minutes, so that it is told once and not each time it varies a little."""
    minutes = max(1, round(abs(ahead_ms) / 60_000))
    way = "ahead of" if ahead_ms > 0 else "behind"
    return (
        f"The clock of this machine is about {minutes} min {way} Jira's: set it right, or events come late."
    )

"""The status of one organization, and its gauges."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from producer.metrics import ProducerMetrics
from producer.publishing.publish_result import PublishResult
from producer.sources.purpose import Purpose
from producer.state.checkpoint import IdReuse
from producer.state.intervals import TimeRange
from relay.organizations import Organization
from relay.status.model import Silence, Status, take_over
from relay.status.writer import StatusWriter
from relay.timestamps import to_iso, to_iso_seconds

_PURPOSE_NAMES = {
    Purpose.REREAD: "Records that become visible late",
    Purpose.BACKFILL: "History",
    Purpose.GAP_CHECK: "The search for a gap after the outage",
    Purpose.UNREAD_RANGES: "Ranges that could not be read",
    Purpose.REFILL: "The refill of lost events",
}


SHARD_CLOSED = "shard-closed"
"""The kind of error of an organization whose events cannot be written to Kafka, beside the kinds of its source."""


@dataclass(frozen=True, slots=True)
class StatusTiming:
    """How long a status is valid at least, and how often it is renewed."""

    valid_ms: int = 300_000
    heartbeat_seconds: float = 60.0


class _Gauges(NamedTuple):
    """What the gauges of an organization show."""

    state: str
    failure_kind: str | None
    since: int
    silence: Silence | None
    credential_expires: int | None


def status_key(organization: str) -> str:
    """Return the key of an organization's record on the status topic."""
    return f"producer/{organization}"


class OrganizationStatusReporter:
    """Publishes one organization's status and its gauges, from the same call, so that they agree.

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
        timing: StatusTiming | None = None,
        shard_problem: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`previous`: the last status that any owner published; None: there is none, or it is not known.

        `shard_problem`: why its events cannot be written to Kafka now; None: they can.
        """
        self._shard_problem = shard_problem
        self._paused = organization.paused
        timing = timing or StatusTiming()
        self._name = organization.name
        self._credential_expires = organization.credential_expires
        self._status_writer = status_writer
        self._metrics = metrics
        self._now_ms = now_ms
        self._heartbeat_seconds = timing.heartbeat_seconds
        self._valid_ms = max(timing.valid_ms, int(3 * interval_seconds * 1000))
        # A failure outlives its owner: nothing is called active before the source has answered the new one.
        resumes = previous is not None and previous.state != "paused" and not organization.paused
        state = previous.state if previous and resumes else "paused" if organization.paused else "active"
        self._status = take_over(state, now_ms(), previous, previous.reason if previous and resumes else None)
        metrics.organization_started(organization.name, interval_seconds, organization.added, self._status)
        continues = self._status.state in {"failing", "waiting"}
        self._failure_kind = metrics.failure_kinds.get(organization.name) if continues else None
        """The kind of the last error, while it fails or waits; None: it does neither, or the kind is not known."""
        self._id_reuse: IdReuse | None = None
        self._notices: dict[str, str] = {}
        """Why something beside live polling is not as it should be, by subject; shown while the state is active."""
        self._clock_notice: str | None = None
        self._publish(self._with_shard_problem(self._status))

    @property
    def status(self) -> Status:
        return self._status

    async def heartbeat(self) -> None:
        """Renew the status until cancelled: it expires when its owner has died."""
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            self.renew()

    def renew(self) -> None:
        """Publish the status again. One that a round has published since the last heartbeat is left alone, while its shard
        can write: with thousands of organizations, each second record on the status topic would say nothing new.
        """
        now = self._now_ms()
        fresh = 0 <= now - self._status.at < self._heartbeat_seconds * 1000
        if not fresh or self._shard_problem() is not None:
            self._publish(self._with_shard_problem(replace(self._status, at=now)))

    def _with_shard_problem(self, status: Status) -> Status:
        """Return the status as failing while its shard cannot write; only a round ends that."""
        reason = None if self._paused else self._shard_problem()
        if reason is None:
            return status
        self._failure_kind = SHARD_CLOSED
        return status.transition("failing", reason, self._now_ms())

    def active(self, clock_ahead_ms: int = 0) -> None:
        """Report a complete round. `clock_ahead_ms`: how far the local clock is ahead, negative behind; 0: it agrees."""
        now = self._now_ms()
        skew = _skew_message(clock_ahead_ms) if clock_ahead_ms else None
        if skew is not None and skew != self._clock_notice:
            self._metrics.clock_skew(self._name, skew)
        self._clock_notice = skew
        if self._shard_problem() is None:
            self._failure_kind = None
            status = self._status.transition("active", self._active_reason(), now)
        else:
            status = self._with_shard_problem(self._status)
        self._publish(replace(status, last_poll=now, waiting_until=None))
        self._metrics.round_ended(self._name, now)

    def failing(self, kind: str, reason: str, retry_seconds: float, *, waiting: bool) -> None:
        """Report a failed round. `waiting`: the source asked the relay to come back later."""
        now = self._now_ms()
        state = "waiting" if waiting else "failing"
        self._failure_kind = kind
        status = self._status.transition(state, reason, now)
        self._publish(replace(status, waiting_until=now + int(retry_seconds * 1000)))
        self._metrics.round_failed(self._name, kind, reason, retry_seconds)

    def purpose_failing(self, purpose: Purpose, kind: str, reason: str, retry_seconds: float) -> None:
        """Report a failure that holds up the requests of one purpose, and not live polling."""
        text = f"{_PURPOSE_NAMES[purpose]}: {reason.removeprefix(f'{self._name}: ')}"
        self.notice(_failure_of(purpose), text)
        self._metrics.round_failed(self._name, kind, reason, retry_seconds, purpose)

    def failing_by_defect(self, purpose: Purpose, error: BaseException, retry_seconds: float) -> None:
        """Report a defect of the relay; the log has its traceback."""
        reason = f"{self._name}: a defect of the relay ({type(error).__name__}); its log has the details."
        self._metrics.round_failed_by_defect(self._name, purpose, error)
        self.failing("defect", reason, retry_seconds, waiting=False)

    def purpose_succeeded(self, purpose: Purpose) -> None:
        """Remove the notice of a failure of this purpose."""
        self.notice(_failure_of(purpose), None)
        self._metrics.purpose_ended(self._name, purpose)

    def notice(self, subject: str, text: str | None) -> None:
        """Show a notice beside the state active. None: remove it."""
        if self._notices.get(subject) == text:
            return
        self._notices.pop(subject, None)
        if text is not None:
            self._notices[subject] = text
        if self._status.state == "active":
            self._publish(self._status.transition("active", self._active_reason(), self._now_ms()))

    def unread_ranges(self, unread_ranges: Sequence[TimeRange]) -> None:
        """Report the ranges that the source fails to serve."""
        self._metrics.unread_ranges(
            self._name, sum(unread_range.width for unread_range in unread_ranges) / 1000
        )
        self.notice("unread ranges", _unread_ranges_message(unread_ranges) if unread_ranges else None)

    def misplaced(self, records: Mapping[int, int]) -> None:
        """Report records that the source shows in answers about another time: `created` (ms) by id."""
        self.notice("misplaced records", _misplaced_message(records) if records else None)

    def _active_reason(self) -> str | None:
        """Return all notices as one text. None: there are none."""
        reuse = self._id_reuse if self._id_reuse and self._id_reuse.is_recent(self._now_ms()) else None
        reused = None if reuse is None else _reuse_message(self._name, reuse)
        return " ".join(filter(None, (self._clock_notice, reused, *self._notices.values()))) or None

    def events_published(self, result: PublishResult) -> None:
        """Count newly published events and dead letters, and note whether ids were reused."""
        self._id_reuse = result.id_reuse
        if not result.events_by_mode and not result.dead_letters:
            return
        late = result.events_by_mode["late"]
        status = self._status.with_counts(
            self._now_ms(), sum(result.events_by_mode.values()), late, result.dead_letters
        )
        newest = max(filter(None, (self._status.last_event, result.newest_created)), default=None)
        self._publish(replace(status, last_event=newest, at=self._now_ms()))

    def complete_up_to(self, ms: int, silence: Silence | None) -> None:
        """Report that every record created before `ms` that the source showed is in Kafka, and the silence up to there."""
        before = self._status.silence
        if silence is not None and silence.word == "silent" != (before and before.word):
            self._metrics.silence.became_unlikely(self._name, silence)
        self._publish(replace(self._status, complete_up_to=ms, silence=silence, at=self._now_ms()))
        self._metrics.complete_up_to(self._name, ms)

    def backfilled_to(self, ms: int | None) -> None:
        """Report how far back history has been read. None: to its wanted beginning."""
        self._publish(replace(self._status, backfilled_to=ms, at=self._now_ms()))

    def _publish(self, status: Status) -> None:
        self._status = status.valid_for(self._valid_ms)
        self._status_writer.put(status_key(self._name), self._status)
        # A source that gives no answer proves no silence, and its last word is no good news.
        silence = status.silence if status.state == "active" else None
        gauges = _Gauges(status.state, self._failure_kind, status.since, silence, self._credential_expires)
        # Each of them has a series for each of its values, and most rounds change none. A former reporter may set them late.
        if gauges != self._metrics.shown.get(self._name):
            self._metrics.shown[self._name] = gauges
            self._metrics.organization_state(self._name, status.state, self._credential_expires)
            self._metrics.failing_since(self._name, self._failure_kind, status.since)
            self._metrics.silence.current(self._name, silence)


def _failure_of(purpose: Purpose) -> str:
    """Return the subject of a notice. The bare name of a purpose would be that of the unread ranges themselves."""
    return f"failure of {purpose}"


def _reuse_message(name: str, reuse: IdReuse) -> str:
    return (
        f"{name}: since {to_iso_seconds(reuse.since)} the source gave {reuse.count} records ids that other published records"
        " have, as after a restore or copy of the site. They are published, and a variant in EventUid tells them apart."
        " Ask the site's administrators, and count by EventUid, not by EventId."
    )


def _unread_ranges_message(unread_ranges: Sequence[TimeRange]) -> str:
    first = f"{to_iso(unread_ranges[0].start)} to {to_iso(unread_ranges[0].end)}"
    others = f" and {len(unread_ranges) - 1} more ranges" if len(unread_ranges) > 1 else ""
    return (
        f"The source fails to serve the records of {first}{others}; all others are published, and the relay keeps asking for"
        " these. If this lasts, report it to the source's support with these times."
    )


def _misplaced_message(records: Mapping[int, int]) -> str:
    first = min(records)
    others = f" and {len(records) - 1} more" if len(records) > 1 else ""
    return (
        f"The source shows record {first} of {to_iso(records[first])}{others} in answers about another time. All others are"
        " published, and this one only where the source shows it at its own time. Report it to the source's support."
    )


def _skew_message(ahead_ms: int) -> str:
    """Return the message in whole minutes, so that it is logged once and not at each small variation."""
    minutes = max(1, round(abs(ahead_ms) / 60_000))
    direction = "ahead of" if ahead_ms > 0 else "behind"
    return f"The clock of this machine is about {minutes} min {direction} the source's clock. Set the clock that is wrong, or events come late."

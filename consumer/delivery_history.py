"""What this process delivered to one destination in the last day, hour by hour, on the status topic.

Each process writes a record of its own and never one of another, so nothing is counted twice at a rebalance. The record stays
when the process ends, a day from its last write, so that what a dead process counted stays on the pages.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from operator import sub

from consumer.running_pipelines import RunningPipeline
from relay.status.model import DeliveryReport, RecentEvents, Status, delivery_key, take_over
from relay.status.writer import StatusWriter

RECENT_SECONDS = 600.0
SETTLING_MS = 30_000
"""A process that ends sooner, without an event and before it knows which events wait, leaves no record: one that is started again
and again would leave thousands a day."""

_Counts = tuple[int, int, int, int]
"""Accepted, dead-lettered and skipped events, and retries, since the start of the process."""


class DeliveryHistory:
    """The history of one destination in this process."""

    def __init__(
        self,
        destination: str,
        pipelines: Sequence[RunningPipeline],
        status_writer: StatusWriter,
        started_ms: int,
        valid_ms: int,
    ) -> None:
        """`valid_ms`: how long each record is valid; a day after that it may be removed."""
        self._key = delivery_key(destination, started_ms)
        self._pipelines = pipelines
        self._status_writer = status_writer
        self._valid_ms = valid_ms
        self._status: Status | None = None
        self._counted: _Counts = (0, 0, 0, 0)
        self._samples: deque[tuple[float, int]] = deque()

    def recent(self, monotonic: float) -> RecentEvents | None:
        """Take a sample at `monotonic`, in seconds. Return what was handled since the first one of ten minutes; None: it is the first."""
        handled = sum(self._counts()[:3])
        self._samples.append((monotonic, handled))
        while self._samples[0][0] < monotonic - RECENT_SECONDS:
            self._samples.popleft()
        first, before = self._samples[0]
        ms = round(1000 * (monotonic - first))
        return RecentEvents(handled - before, ms) if ms else None

    def record(self, report: DeliveryReport | None, now_ms: int) -> None:
        """Add what happened since the last call to the hour of `now_ms`, and write the record if that changes it.

        `report`: the present one; None: the process delivers nothing to the destination, or ends.
        """
        counts = self._counts()
        if self._status is None and not any(counts) and (report is None or _is_settling(report, now_ms)):
            return
        events, dead_letters, skipped, retries = map(sub, counts, self._counted)
        self._counted = counts
        status = replace(self._status or take_over("active", now_ms), at=now_ms).with_counts(
            now_ms, events=events, dead_letters=dead_letters, skipped=skipped, retries=retries
        )
        if report is not None:
            status = replace(status, deliveries=(_lasting(report),)).with_slot(
                now_ms, age=_age(report, now_ms)
            )
        if self._status is None or _content(status) != _content(self._status):
            self._status_writer.put(self._key, status.valid_for(self._valid_ms))
        self._status = status

    def _counts(self) -> _Counts:
        states = [each.flow.state for each in self._pipelines]
        return (
            sum(each.accepted for each in states),
            sum(each.dead_lettered for each in states),
            sum(each.skipped for each in states),
            sum(each.retries for each in states),
        )


def _is_settling(report: DeliveryReport, now_ms: int) -> bool:
    return not report.known and 0 <= now_ms - report.since < SETTLING_MS


def _age(report: DeliveryReport, now_ms: int) -> int | None:
    """Return the age of the oldest event that waits, in ms; 0: none does. None: that is not known.

    An event that waits has an age, also where the clock of its producer is ahead.
    """
    if not report.known:
        return None
    return 0 if report.oldest is None else max(1, now_ms - report.oldest)


def _lasting(report: DeliveryReport) -> DeliveryReport:
    """Return what of a report is true later too: the last retry."""
    return DeliveryReport(report.destination, report.since, known=False, last_retry=report.last_retry)


def _content(status: Status) -> tuple[object, ...]:
    return status.counts, status.slots, status.deliveries

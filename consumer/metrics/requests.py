"""Requests of one flow of one destination, counted by outcome and logged at debug."""

from collections.abc import Mapping

import structlog
from prometheus_client import Counter, Histogram

from consumer.destinations.outcome import (
    Dropped,
    Outcome,
    Partial,
    Paused,
    Reject,
    Retry,
    Sent,
    Split,
    Unconfirmed,
)
from consumer.metrics import catalogue
from relay.telemetry.metrics import Metric, MetricSet

log = structlog.get_logger("consumer")


class RequestMetrics:
    """Counts the requests of one flow; `names` are its labels and the fields of its log lines."""

    def __init__(self, registered: MetricSet, names: Mapping[str, str]) -> None:
        self._registered = registered
        self._labels = tuple(names.values())
        self._names = names

    def _count(self, metric: Metric[Counter], amount: float = 1, *label: str) -> None:
        self._registered[metric].labels(*self._labels, *label).inc(amount)

    def _observe(self, metric: Metric[Histogram], value: float) -> None:
        self._registered[metric].labels(*self._labels).observe(value)

    def ended(self, outcome: Outcome, rows: int, raw_bytes: int, wire_bytes: int, seconds: float) -> int:
        """Count a request, and return how many of its rows were accepted."""
        accepted = 0
        self._observe(catalogue.REQUEST_DURATION, seconds)
        match outcome:
            case Sent():
                self._count(catalogue.REQUESTS, 1, "2xx")
                accepted = rows
            case Partial(status=status):
                self._count(catalogue.REQUESTS, 1, _status_class(status))
                accepted = outcome.accepted_count(rows)
                self._judged_in_part(outcome, rows)
            case Unconfirmed(status=status) | Dropped(status=status):
                self._count(catalogue.REQUESTS, 1, _status_class(status))
            case Retry(reason, status, _):
                self._not_accepted("retry", reason, status, rows)
            case Paused(reason, status):
                self._not_accepted("paused", reason, status, rows)
            case Split(reason, status):
                self._not_accepted("split", reason, status, rows)
            case Reject(reason, status):
                self._not_accepted("rejected", reason, status, rows)
        if accepted:
            self._accepted(accepted, raw_bytes, wire_bytes)
        return accepted

    def confirmed(self, rows: int, raw_bytes: int, wire_bytes: int) -> None:
        """Count a body that the destination had taken, and has confirmed."""
        self._accepted(rows, raw_bytes, wire_bytes)

    def not_confirmed(self, rows: int) -> None:
        """Count a body that the destination had taken, and did not confirm."""
        self._count(catalogue.EVENTS_UNCONFIRMED, rows)
        self._count(catalogue.RETRIES, 1, "retry")

    def _accepted(self, rows: int, raw_bytes: int, wire_bytes: int) -> None:
        self._count(catalogue.EVENTS_ACCEPTED, rows)
        self._count(catalogue.SENT_RAW_BYTES, raw_bytes)
        self._count(catalogue.SENT_WIRE_BYTES, wire_bytes)
        self._observe(catalogue.REQUEST_EVENTS, rows)
        log.debug(
            "Destination accepted events.",
            **self._names,
            events=rows,
            raw_bytes=raw_bytes,
            wire_bytes=wire_bytes,
        )

    def _judged_in_part(self, outcome: Partial, rows: int) -> None:
        if outcome.retry:
            self._count(catalogue.RETRIES, 1, "retry")
        elif len(outcome.rejected) == rows:
            self._count(catalogue.RETRIES, 1, "rejected")
        log.debug(
            "Destination accepted a body in part.",
            **self._names,
            reason=outcome.reason,
            status=outcome.status,
            events=rows,
            rejected=len(outcome.rejected),
            retried=len(outcome.retry),
        )

    def _not_accepted(self, category: str, reason: str, status: int | None, rows: int) -> None:
        self._count(catalogue.REQUESTS, 1, _status_class(status))
        self._count(catalogue.RETRIES, 1, category)
        log.debug(reason, **self._names, category=category, status=status, events=rows)


def _status_class(status: int | None) -> str:
    return f"{status // 100}xx" if status else "none"

"""The metrics of a consumer process, and the state of each of its destinations."""

import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping
from typing import Literal

from prometheus_client import CollectorRegistry

from consumer.metrics import catalogue
from consumer.metrics.acceptance_lags import AcceptanceLags
from consumer.metrics.events import PipelineMetrics
from consumer.metrics.requests import log
from relay.condition_log import ConditionLog, ConditionTiming
from relay.kafka.topic_copies import CopyState
from relay.telemetry.metrics import MetricSet
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer

START_SECONDS = 60.0
"""A start, or a rebalance, that takes longer is logged."""


class ConsumerMetrics:
    """The registered catalogue of one process."""

    def __init__(
        self,
        registry: CollectorRegistry,
        clock: Callable[[], float] = time.monotonic,
        tracer: Tracer = NOT_TRACED,
    ) -> None:
        """`clock`: seconds, for the length of a condition in the log."""
        self._tracer = tracer
        self._registered = MetricSet(catalogue.CATALOGUE, registry)
        self._failed_requests: Tally[str] = Tally()
        """By destination, since its state was reported last."""
        self.acceptance_lags = AcceptanceLags(self._registered[catalogue.LAG_SECONDS])
        self._clock = clock
        self._states = ConditionLog(log, clock)
        self._starts = ConditionLog(log, clock, ConditionTiming(grace_seconds=START_SECONDS))

    def state_observed(
        self, destination: str, state: str, reason: str | None, *, wanted: bool = False
    ) -> None:
        """Log the state of a destination when it changes, hourly while it is not active, and at the end of that.

        `wanted`: an operator asked for it, so it is no error.
        """
        attempts = self._failed_requests.pop(destination, 0)
        names = {"destination": destination}
        if state != "starting":
            self._starts.ended(destination, "Destination has started; it could not", names)
        if state == "active":
            self._states.ended(destination, "Destination is active again; it was not", names)
        elif state == "starting":
            self._starts.failed(
                destination, state, reason or "Destination starts.", names | {"state": state}, attempts=0
            )
        else:
            level: Literal["warning", "error"] = "error" if state == "paused" and not wanted else "warning"
            self._states.failed(
                destination,
                state,
                reason or f"Destination is {state}.",
                names | {"state": state},
                level=level,
                attempts=attempts,
            )

    def set_replays(self, destination: str, counts: Mapping[str, int] | None) -> None:
        """Set how many replays of a destination are in each state; None: another process has them, or there are none."""
        gauge = self._registered[catalogue.REPLAYS]
        if counts is None:
            gauge.remove_by_labels({"destination": destination, "flow": "replay"})
            return
        for state in ("waiting", "running", "paused"):
            gauge.labels(destination, "replay", state).set(counts.get(state, 0))

    def kafka_partitions(self, counts: Mapping[CopyState, int] | None) -> None:
        """Set how many partitions lack copies, by state; None: unknown, so the series end."""
        gauge = self._registered[catalogue.KAFKA_PARTITIONS]
        gauge.clear()
        for state, count in (counts or {}).items():
            gauge.labels(state).set(count)

    def for_pipeline(self, destination: str, flow: str) -> PipelineMetrics:
        return PipelineMetrics(
            self._registered,
            self._failed_requests,
            self.acceptance_lags,
            self._clock,
            destination,
            flow,
            self._tracer,
        )

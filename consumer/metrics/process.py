"""The metrics of a consumer process, and the state of each of its destinations."""

import time
from collections import Counter as Tally
from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry

from consumer.metrics import catalogue
from consumer.metrics.events import PipelineMetrics, log
from relay.telemetry.condition_log import ConditionLog
from relay.telemetry.metrics import MetricSet


class ConsumerMetrics:
    """The registered catalogue of one process."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, for the length of a condition in the log."""
        self._registered = MetricSet(catalogue.CATALOGUE, registry)
        self._failed_requests: Tally[str] = Tally()
        """By destination, since its state was reported last."""
        self._clock = clock
        self._states = ConditionLog(log, clock)

    def state_observed(self, destination: str, state: str, reason: str | None) -> None:
        """Log the state of a destination when it changes, hourly while it is not active, and at the end of that."""
        attempts = self._failed_requests.pop(destination, 0)
        if state == "active":
            self._states.ended(
                destination, "Destination is active again; it was not", {"destination": destination}
            )
        elif reason is not None:  # without one, the process has only just joined the group
            level: Literal["warning", "error"] = "error" if state == "paused" else "warning"
            self._states.failed(
                destination,
                state,
                reason,
                {"destination": destination, "state": state},
                level=level,
                attempts=attempts,
            )

    def for_pipeline(self, destination: str, flow: str) -> PipelineMetrics:
        return PipelineMetrics(self._registered, self._failed_requests, self._clock, destination, flow)

"""The gauges of one flow of a destination, which its status reporter sets once a second."""

from typing import Literal

from prometheus_client import Gauge

from consumer.metrics import catalogue
from relay.telemetry.metrics import Metric, MetricSet

MembershipState = Literal["confirmed", "unconfirmed", "left"]


class FlowGauges:
    """State, membership, lag and age of one flow. A gauge whose value is not known has no series."""

    def __init__(self, registered: MetricSet, destination: str, flow: str) -> None:
        self._registered = registered
        self._names = {"destination": destination, "flow": flow}

    def _set_or_remove(self, metric: Metric[Gauge], value: float | None) -> None:
        if value is None:
            self._registered[metric].remove_by_labels(self._names)
        else:
            self._registered[metric].labels(**self._names).set(value)

    def set_state(self, state: str, oldest_seconds: float | None, route_seconds: float | None = None) -> None:
        """Set state, age of the oldest event that is not accepted (None: unknown) and of the oldest problem of a route (None: there is none)."""
        self._set_or_remove(catalogue.ROUTE_PROBLEM_SECONDS, route_seconds)
        self._registered.set_state(catalogue.DESTINATION_STATE, state, **self._names)
        self._set_or_remove(catalogue.OLDEST_UNSENT_SECONDS, oldest_seconds)

    def set_membership(self, membership: MembershipState, paused_at: int | None) -> None:
        """Set the membership in the group, and since when (ms UTC) an operator pauses the destination. None: none does."""
        self._registered.set_state(catalogue.MEMBERSHIP, membership, **self._names)
        self._set_or_remove(catalogue.OPERATOR_PAUSE, None if paused_at is None else paused_at / 1000)

    def set_retention_used(self, part: float | None) -> None:
        """Set the part of its topic's retention that the oldest event not accepted has passed; 0: none waits. None: unknown."""
        self._set_or_remove(catalogue.RETENTION_USED, part)

    def set_group_lag(self, events: int | None) -> None:
        """Set the lag of the group. None: another process reports it from now on, or it is not known."""
        self._set_or_remove(catalogue.LAG_EVENTS, events)

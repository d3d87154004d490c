"""The gauges of a flow, from its state."""

from consumer.metrics.flow_gauges import MembershipState
from consumer.running_pipelines import RunningPipeline, flow_state

_LEAST_RETENTION_SECONDS = 1.0
"""Kafka takes a retention of 0."""


def report_gauges(pipeline: RunningPipeline, lag: int | None, now: int) -> float:
    """Set the gauges of a flow at `now` (ms UTC). Return for how many seconds its oldest event has waited; 0 where none is known to wait.

    `lag`: how many events the group has not accepted; None: that is not known.
    """
    oldest = pipeline.handler.oldest_seconds()
    state, _ = flow_state(pipeline)
    gauges = pipeline.metrics.gauges
    gauges.set_state(state, oldest, pipeline.flow.routes.problem_seconds(now))
    guard = pipeline.guard
    gauges.set_membership(_membership(pipeline), None if guard is None else guard.paused_at)
    waited = _paused_seconds(pipeline, lag, now) if oldest is None else oldest
    retention = max(pipeline.retention_seconds, _LEAST_RETENTION_SECONDS)
    gauges.set_retention_used(None if waited is None else waited / retention)
    return waited or 0.0


def _membership(pipeline: RunningPipeline) -> MembershipState:
    if pipeline.guard is not None and pipeline.guard.reason_to_leave is not None:
        return "left"
    return "confirmed" if pipeline.member.valid else "unconfirmed"


def _paused_seconds(pipeline: RunningPipeline, lag: int | None, now: int) -> float | None:
    """Return how long events have waited for the end of a pause, at most. None: there is no pause, or the lag is not known."""
    paused_at = pipeline.guard.paused_at if pipeline.guard is not None else None
    if paused_at is None or lag is None:
        return None
    return (now - paused_at) / 1000 if lag else 0.0

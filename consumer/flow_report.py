"""The gauges of a flow, from its state."""

from consumer.metrics.flow_gauges import MembershipState
from consumer.running_pipelines import RunningPipeline, flow_state

_LEAST_RETENTION_SECONDS = 1.0
"""Kafka takes a retention of 0."""


def report_gauges(pipeline: RunningPipeline, lag: int | None, now: int) -> float:
    """Set the gauges of a flow at `now` (ms UTC). Return for how many seconds its oldest event has waited.

    `lag`: how many events the group has not accepted; None: that is not known.
    """
    oldest = pipeline.handler.oldest_seconds()
    state, _ = flow_state(pipeline)
    gauges = pipeline.metrics.gauges
    gauges.set_state(state, oldest, pipeline.flow.routes.problem_seconds(now))
    guard = pipeline.guard
    gauges.set_membership(_membership(pipeline), None if guard is None else guard.paused_at)
    waited = _paused_seconds(pipeline, lag, now) if oldest is None else oldest
    gauges.set_retention_used(waited / max(pipeline.retention_seconds, _LEAST_RETENTION_SECONDS))
    return waited


def _membership(pipeline: RunningPipeline) -> MembershipState:
    if pipeline.guard is not None and pipeline.guard.reason_to_leave is not None:
        return "left"
    return "confirmed" if pipeline.member.valid else "unconfirmed"


def _paused_seconds(pipeline: RunningPipeline, lag: int | None, now: int) -> float:
    """Return how long events have waited for the end of a pause, at most; 0 where none is known to wait."""
    paused_at = pipeline.guard.paused_at if pipeline.guard is not None else None
    return (now - paused_at) / 1000 if paused_at is not None and lag else 0.0

"""The metrics of what a transaction has published."""

from collections import Counter

from producer.metrics import ProducerMetrics
from producer.publishing.transaction import TransactionPlan
from producer.state.checkpoint import IdReuse


def count_published(
    metrics: ProducerMetrics, organization: str, plan: TransactionPlan, reuse: IdReuse | None
) -> None:
    """Count the events and dead letters of a committed plan. `reuse`: of ids, after the commit."""
    for mode, count in Counter(event["mode"] for event in plan.events).items():
        newest = max(event["created"] for event in plan.events)
        metrics.events_published(organization, mode, count, newest)
    for event in plan.events:
        metrics.event_latency(event["mode"], (plan.collected - event["created"]) / 1000)
    if plan.reused_ids:
        first = reuse is None or reuse.count == len(plan.reused_ids)
        metrics.ids_reused(organization, plan.reused_ids, first=first)
    for unreadable in plan.unreadable:
        metrics.dead_lettered(organization, unreadable.reason)

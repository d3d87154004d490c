"""The span of a transaction with events. The header of each of its records names the span."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from producer.publishing.shard_topics import ShardTopics
from producer.publishing.transaction import TransactionPlan
from producer.state.checkpoint import Checkpoint
from relay.telemetry.traces.span import OpenSpan, SpanKind
from relay.telemetry.traces.tracer import open_span


@dataclass(frozen=True, slots=True)
class TracedSend:
    """A plan whose events carry the span's context. `span` None: the trace is not recorded."""

    plan: TransactionPlan
    span: OpenSpan | None = None

    def committed(self, checkpoint: Checkpoint | None) -> None:
        """Note where the last event of the plan is. `checkpoint`: the committed one."""
        if self.span is None or checkpoint is None:
            return
        backfill = self.plan.events[-1]["mode"] == "backfill"
        last = checkpoint.last_backfill if backfill else checkpoint.last_event
        if last is not None:
            self.span.attributes["messaging.kafka.offset"] = last.offset


@contextmanager
def traced_send(plan: TransactionPlan, topics: ShardTopics) -> Iterator[TracedSend]:
    """Record the block as the span that sends the plan, if it has events and belongs to a trace."""
    if not plan.events:
        yield TracedSend(plan)
        return
    backfill = plan.events[-1]["mode"] == "backfill"
    topic = topics.names.backfill if backfill else topics.names.events
    attributes = {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(topics.partition),
        "messaging.batch.message_count": len(plan.events),
        "jira_relay.organization": plan.events[-1]["organization"],
    }
    with open_span(f"send {topic}", SpanKind.PRODUCER, attributes, useful=True) as span:
        if span is None:
            yield TracedSend(plan)
        else:
            yield TracedSend(replace(plan, headers=(span.context.header,)), span)

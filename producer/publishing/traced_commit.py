"""The span of a transaction with events. The header of each of its events names the span."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from producer.publishing.shard_topics import ShardTopics
from producer.publishing.transaction import Transaction
from producer.state.shard_state import OrganizationState
from relay.kafka.producer import ProducerRecord
from relay.telemetry.traces.span import AttributeValue, OpenSpan, SpanKind
from relay.telemetry.traces.tracer import open_span

Commit = Callable[[tuple[OrganizationState, Transaction]], Awaitable[None]]


async def traced_commit(
    commit: Commit, state: OrganizationState, transaction: Transaction, topics: ShardTopics
) -> None:
    """Commit a transaction. If it has events and the task has a trace, the commit is a span, also of a refill or a redrive."""
    topic = next((each.topic for each in reversed(transaction.records) if _is_event(each, topics)), None)
    if topic is None:
        await commit((state, transaction))
        return
    attributes: dict[str, AttributeValue] = {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(topics.partition),
        "jira_relay.organization": transaction.organization,
    }
    with open_span(f"send {topic}", SpanKind.PRODUCER, attributes, useful=True) as span:
        if span is None:
            await commit((state, transaction))
        else:
            await commit((state, _with_header(transaction, span, topics)))
            _note_offset(span, transaction, state)


def _is_event(record: ProducerRecord, topics: ShardTopics) -> bool:
    return record.topic in {topics.names.events, topics.names.backfill}


def _with_header(transaction: Transaction, span: OpenSpan, topics: ShardTopics) -> Transaction:
    header = span.context.header
    records = [
        each._replace(headers=(*each.headers, header)) if _is_event(each, topics) else each
        for each in transaction.records
    ]
    span.attributes["messaging.batch.message_count"] = sum(_is_event(each, topics) for each in records)
    return replace(transaction, records=records)


def _note_offset(span: OpenSpan, transaction: Transaction, state: OrganizationState) -> None:
    """Note where the last new event is, as the committed checkpoint says. It says nothing of a refill."""
    events, checkpoint = transaction.plan.events, state.checkpoint
    if not events or checkpoint is None:
        return
    last = checkpoint.last_backfill if events[-1]["mode"] == "backfill" else checkpoint.last_event
    if last is not None:
        span.attributes["messaging.kafka.offset"] = last.offset

"""The transaction of a refill: its events, and the checkpoint with its cursor. Pure."""

from producer.publishing.refill import RefillBatch, RefillWindow, plan_refill
from producer.publishing.shard_topics import ShardTopics
from producer.publishing.transaction import Transaction, TransactionPlan, build_transaction
from producer.state.refill import RefillCursor
from producer.state.shard_state import OrganizationState
from relay.kafka.topic_facts import TopicLimits


def refill_transaction(
    state: OrganizationState,
    window: RefillWindow,
    taken: int,
    topics: ShardTopics,
    collected: int,
    topic_limits: TopicLimits,
) -> tuple[RefillBatch, Transaction]:
    """Return the next transaction of a part of a window, `taken` events of which are dealt with. Raises ProgressTooLargeError."""
    checkpoint, ledger = state.checkpoint, state.ledger
    if checkpoint is None:
        raise ValueError(f"{ledger.organization} has no checkpoint yet")
    cursor = checkpoint.refill(window.replay_id) or RefillCursor(window.replay_id, window.start)
    batch = plan_refill(window, taken, cursor, ledger, topics, collected, topic_limits)
    transaction = build_transaction(
        TransactionPlan(collected),
        checkpoint.with_refill(batch.cursor),
        ledger,
        topics,
        topic_limits,
        window_complete=False,
    )
    return batch, transaction.with_refill(batch)

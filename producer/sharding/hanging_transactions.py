"""Hanging transactions: those whose end markers are missing while nobody publishes.

Kafka may die right after it acknowledged a commit, and come back without having written the markers. No read_committed
reader sees the transaction then, until the same producer writes to that partition again. On a quiet partition that may be
never, so a watch compares the last stable offset with the high watermark.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from producer.sharding.assignment import ShardAssignment
from relay.aio import cancellation_requested
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, log_bounds, standalone_consumer, with_leader
from relay.kafka.publish_errors import PublishError
from relay.kafka.topics import Topics
from relay.kafka.transactions import TRANSACTION_SECONDS, TransactionalProducer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WatchTiming:
    """`stalled_seconds` is more than the longest transaction of the relay."""

    check_seconds: float = 2.0
    stalled_seconds: float = TRANSACTION_SECONDS + 1.0


DEFAULT_TIMING = WatchTiming()


class StalledLsoDetector:
    """Finds partitions whose last stable offset has been below the high watermark, unchanged, for too long."""

    def __init__(self, stalled_seconds: float = DEFAULT_TIMING.stalled_seconds) -> None:
        self._stalled_seconds = stalled_seconds
        self._since: dict[TopicPartition, tuple[int, float]] = {}

    def check(self, bounds: Mapping[TopicPartition, LogBounds], now: float) -> set[TopicPartition]:
        """Return the stalled ones at `now` (monotonic seconds)."""
        below = {
            tp: span.last_stable_offset
            for tp, span in bounds.items()
            if span.last_stable_offset < span.high_watermark
        }
        before = self._since
        self._since = {
            tp: before[tp] if tp in before and before[tp][0] == end else (end, now)
            for tp, end in below.items()
        }
        return {tp for tp, (_, since) in self._since.items() if now - since >= self._stalled_seconds}


async def watch_hanging_transactions(
    connection: Connection, topics: Topics, assignment: ShardAssignment, timing: WatchTiming = DEFAULT_TIMING
) -> None:
    """Reload shards that have hanging transactions, until cancelled: loading ends them."""
    while connection.profile.transactions:
        try:
            await _check_forever(connection, topics, assignment, timing)
        except asyncio.CancelledError:
            if cancellation_requested():
                raise
            log.debug("Offsets could not be read.", reason="a library cancelled the request")
        except KAFKA_FAILURES as error:
            log.debug("Offsets could not be read.", reason=describe(error))
        except Exception:
            log.exception("A defect ended the check for hanging transactions; checking again.")
        await asyncio.sleep(timing.check_seconds)
    await asyncio.Event().wait()


async def _check_forever(
    connection: Connection, topics: Topics, assignment: ShardAssignment, timing: WatchTiming
) -> None:
    detector, loop = StalledLsoDetector(timing.stalled_seconds), asyncio.get_running_loop()
    async with standalone_consumer(connection) as reader:
        while True:
            await asyncio.sleep(timing.check_seconds)
            partitions = [
                TopicPartition(topic, number) for topic in topics.sharded for number in assignment.numbers
            ]
            if not partitions:
                continue
            partitions.append(TopicPartition(topics.changes, 0))
            bounds = await log_bounds(reader, await with_leader(reader, partitions))
            for topic, number in sorted(detector.check(bounds, loop.time())):
                if topic not in {topics.organizations, topics.changes} and assignment.in_transaction(number):
                    continue
                log.warning(
                    "A hanging transaction was found; it is ended now.", topic=topic, partition=number
                )
                if topic == topics.organizations:
                    await _end_hanging_edit(connection, topics, number)
                elif topic == topics.changes:
                    # The record of changes does not say which shard was edited.
                    for owned in assignment.numbers:
                        await _end_hanging_edit(connection, topics, owned)
                else:
                    assignment.reload(number)


async def _end_hanging_edit(connection: Connection, topics: Topics, number: int) -> None:
    """End an edit of organizations. An editor at work on the same partition is fenced, and tries again."""
    transactions = await TransactionalProducer.open(connection, f"{topics.organizations}.{number}")
    try:
        await transactions.end_hanging([TopicPartition(topics.organizations, number)])
        await transactions.end_hanging([TopicPartition(topics.changes, 0)])
    except PublishError as error:
        log.warning("A hanging edit was not ended; trying again.", reason=str(error), shard=number)
    finally:
        await transactions.discard()

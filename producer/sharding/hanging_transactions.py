"""Transactions that Kafka has left without an end while nobody publishes.

Kafka killed right after it had acknowledged the end of a transaction may come back without having written it down: no
reader sees what was committed until the same producer writes to that partition again. Where nothing new happens, that
would be never; so the ends are looked at now and then.
"""

import asyncio
from collections.abc import Mapping

import structlog

from producer.sharding.assignment import ShardAssignment
from relay.aio import cancellation_requested
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, log_bounds, standalone_consumer, with_leader
from relay.kafka.topics import Topics
from relay.kafka.transactions import TRANSACTION_SECONDS, Publisher, PublishError

CHECK_SECONDS = 2.0
STALLED_SECONDS = TRANSACTION_SECONDS + 1.0

log = structlog.get_logger(__name__)


class StalledLsoDetector:
    """Finds partitions whose committed end has stood still below their end for longer than any transaction lasts."""

    def __init__(self) -> None:
        self._since: dict[TopicPartition, tuple[int, float]] = {}

    def check(self, bounds: Mapping[TopicPartition, LogBounds], now: float) -> set[TopicPartition]:
        """Those that stand still at `now` (monotonic seconds)."""
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
        return {tp for tp, (_, since) in self._since.items() if now - since >= STALLED_SECONDS}


async def watch_hanging_transactions(
    connection: Connection, topics: Topics, assignment: ShardAssignment
) -> None:
    """Open shards anew whose transactions have no end, until cancelled: opening ends them."""
    while connection.profile.transactions:
        try:
            await _check_forever(connection, topics, assignment)
        except asyncio.CancelledError:
            if cancellation_requested():
                raise
            log.debug("Ends cannot be looked at.", reason="it was cancelled from inside")
        except KAFKA_FAILURES as error:
            log.debug("Ends cannot be looked at.", reason=describe(error))
        except Exception:
            log.exception("The look at ends was broken off by a defect; looking again.")
        await asyncio.sleep(CHECK_SECONDS)
    await asyncio.Event().wait()


async def _check_forever(connection: Connection, topics: Topics, assignment: ShardAssignment) -> None:
    detector, loop = StalledLsoDetector(), asyncio.get_running_loop()
    async with standalone_consumer(connection) as reader:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            partitions = [
                TopicPartition(topic, number) for topic in topics.sharded for number in assignment.numbers
            ]
            if not partitions:
                continue
            partitions.append(TopicPartition(topics.changes, 0))
            bounds = await log_bounds(reader, await with_leader(reader, partitions))
            for topic, number in sorted(detector.check(bounds, loop.time())):
                log.warning("A transaction has no end; it is ended now.", topic=topic, partition=number)
                if topic == topics.organizations:
                    await _end_hanging_edit(connection, topics, number)
                elif topic == topics.changes:
                    for owned in assignment.numbers:  # whichever it was that edited
                        await _end_hanging_edit(connection, topics, owned)
                else:
                    assignment.reload(number)


async def _end_hanging_edit(connection: Connection, topics: Topics, number: int) -> None:
    """End an edit of organizations; an editor that works on the same partition right now is fenced, and tries again."""
    transactions = await Publisher.open(connection, f"{topics.organizations}.{number}")
    try:
        await transactions.end_hanging([TopicPartition(topics.organizations, number)])
        await transactions.end_hanging([TopicPartition(topics.changes, 0)])
    except PublishError as error:
        log.warning("An edit could not be ended; trying again.", reason=str(error), shard=number)
    finally:
        await transactions.discard()

"""The feed of replays: one reader of their topic for all shards of the process."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from producer.replays.jobs import RefillJobs, SendReport
from relay.condition_log import ConditionLog
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    NoTopicError,
    partitions_of,
    poll_records,
    stable_bounds,
    standalone_consumer,
)
from relay.kafka.producer import RecordWriter
from relay.replays.refill import RefillProgress
from relay.replays.store import ReplayTable, producer_key

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FeedTiming:
    """Waits of the feed, in seconds."""

    retry_seconds: float = 5.0
    no_topic_seconds: float = 60.0
    """An installation of an earlier release has no topic of replays until `jira-relay topics create` has run."""
    answer_seconds: float = 10.0
    max_records: int = 500


DEFAULT_TIMING = FeedTiming()


async def follow_replays(
    connection: Connection, topic: str, jobs: Sequence[RefillJobs], timing: FeedTiming = DEFAULT_TIMING
) -> None:
    """Hand the replays to `jobs` whenever they change, until cancelled. Polling goes on while they cannot be read."""
    conditions = ConditionLog(log)
    while True:
        pause = timing.retry_seconds
        try:
            await _follow(connection, topic, jobs, conditions, timing)
        except NoTopicError as error:
            pause = timing.no_topic_seconds
            _failed(conditions, topic, "no topic", error)
        except KAFKA_FAILURES as error:
            _failed(conditions, topic, type(error).__name__, error)
        await asyncio.sleep(pause)


async def _follow(
    connection: Connection,
    topic: str,
    jobs: Sequence[RefillJobs],
    conditions: ConditionLog,
    timing: FeedTiming,
) -> None:
    table = ReplayTable()
    async with standalone_consumer(connection) as consumer:
        await partitions_of(consumer, topic)
        tp = TopicPartition(topic, 0)
        end = (await stable_bounds(consumer, [tp]))[tp].last_stable_offset
        consumer.assign([tp])
        consumer.seek(tp, 0)
        caught_up = False
        while True:
            records = (await poll_records(consumer, timing.max_records)).get(tp, [])
            for record in records:
                table.apply(record)
            if not caught_up:
                async with asyncio.timeout(timing.answer_seconds):
                    caught_up = await consumer.position(tp) >= end
            elif not records:
                continue
            if caught_up:
                conditions.ended(topic, "Replays can be read; they could not be", {"topic": topic})
                for each in jobs:
                    each.take_over(table)


def _failed(conditions: ConditionLog, topic: str, kind: str, error: Exception) -> None:
    fields = {"topic": topic, "reason": describe(error)}
    conditions.failed(topic, kind, "Replays were not read; refills wait.", fields)


def report_sender(writer: RecordWriter, topic: str) -> SendReport:
    """Return a function that writes a report to the topic of replays; it raises TopicWriteError."""

    async def send(progress: RefillProgress) -> None:
        key = producer_key(progress.id, progress.organization).encode()
        await writer.send(topic, key, progress.to_value())

    return send

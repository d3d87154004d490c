"""Copy every topic of the relay to another Kafka, and prove each copy by reading it.

Offsets differ in the copy. Nothing translates them: a consumer finds the record that it delivered last, which its status names, and
a producer compares its progress with the events on the topics. Both are what they do after a fail-over to a mirror.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from management.formatting import iso_seconds
from management.organizations.store import kafka_errors_as_relay_errors
from management.replay.jobs import read_replays
from management.topic_digest import Digest
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition, partition_text
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, partitions_of, stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.range_log import open_range_log
from relay.kafka.reader_timing import DEFAULT_TIMING
from relay.kafka.topic_admin import create_missing_topics, read_shard_count
from relay.kafka.topics import Topics, topic_specs
from relay.kafka.transactions import TransactionalProducer
from relay.status.reader import read_statuses

Bounds = Mapping[TopicPartition, LogBounds]

_AGAIN = (
    "Delete the relay's topics there (`kafka-topics.sh --delete --topic TOPIC`), and run the command again."
)


@dataclass(frozen=True, slots=True)
class TopicCopy:
    """A copied topic. `expired`: records that the other Kafka deleted at once, since they are older than its retention."""

    topic: str
    partitions: int
    records: int
    expired: int = 0


async def copy_topics(
    source: Connection, target: Connection, reread_ms: int, now_ms: int
) -> AsyncIterator[TopicCopy]:
    """Copy each topic to `target`, where all are empty, and yield it once its copy was read and compared.

    `reread_ms`: how far back the producer reads Jira again, in ms. Raises RelayError: a service still runs, a replay has not ended, the
    target has records, somebody wrote meanwhile, or a copy differs.
    """
    topics = Topics(source.kafka.topic_prefix)
    if target.kafka.topic_prefix != topics.prefix:
        raise RelayError(
            f"Nothing was copied: kafka.topic_prefix must be {topics.prefix} in both files, since the topics keep their names."
        )
    await _require_idle(source, topics, now_ms)
    target = await _create_topics(source, target, reread_ms)
    if filled := {tp.topic for tp, at in (await _bounds(target, topics.all)).items() if _is_filled(at)}:
        raise RelayError(
            f"Nothing was copied: {', '.join(sorted(filled))} have records at {target.bootstrap}. {_AGAIN}"
        )
    before = await _bounds(source, topics.all)
    for topic in topics.all:
        yield await _copy_topic(source, target, topic, before)
    if changed := [tp for tp, at in (await _bounds(source, topics.all)).items() if at != before[tp]]:
        raise RelayError(
            f"The copy is not whole: {partition_text(changed[0])} changed meanwhile. Stop every service, console and"
            f" command that uses {source.bootstrap}. {_AGAIN}"
        )


async def _require_idle(source: Connection, topics: Topics, now_ms: int) -> None:
    """Raise RelayError while a process of the relay reports, or a replay has not ended: its ranges are offsets of this Kafka."""
    with kafka_errors_as_relay_errors(source):
        statuses = await read_statuses(source, topics.status)
        replays = await read_replays(source, now_ms)
    running = {
        key: status
        for key, status in statuses.items()
        if key.startswith(("produce/", "consume/")) and status.valid_until > now_ms
    }
    for key, status in running.items():
        raise RelayError(
            f"Nothing was copied: {key} reported at {iso_seconds(status.at)}. Stop all producers and consumers; a process that was"
            f" killed counts as running until {iso_seconds(status.valid_until)}."
        )
    if open_replays := [view.replay.job.id for view in replays.views if not view.ended]:
        raise RelayError(
            f"Nothing was copied: replay {', '.join(open_replays)} has not ended. Start a consumer until it has, or cancel it"
            " (`jira-relay replay cancel ID`)."
        )


async def _create_topics(source: Connection, target: Connection, reread_ms: int) -> Connection:
    """Create the topics with as many partitions as they have; return the connection with that number."""
    shards = await read_shard_count(source)
    kafka = target.kafka.model_copy(update={"shards": shards})
    target = replace(target, kafka=kafka)
    reports = await create_missing_topics(target, reread_ms)
    if problems := [f"{report.name}: {text}" for report in reports for text in report.problems]:
        raise RelayError(f"Nothing was copied. {' '.join(problems)}")
    if (found := await read_shard_count(target)) != shards:
        raise RelayError(
            f"Nothing was copied: the topics at {target.bootstrap} have {found} partitions, and these have {shards}. {_AGAIN}"
        )
    return target


async def _bounds(connection: Connection, topics: Iterable[str]) -> Bounds:
    """Return the bounds of each partition. Raises RelayError while a transaction is open."""
    with kafka_errors_as_relay_errors(connection):
        async with standalone_consumer(connection) as consumer:
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                for number in await partitions_of(consumer, topic)
            ]
            bounds = await stable_bounds(consumer, partitions)
    if waiting := [tp for tp, at in bounds.items() if at.last_stable_offset < at.high_watermark]:
        raise RelayError(
            f"A transaction on {partition_text(waiting[0])} at {connection.bootstrap} has not ended. Kafka ends it within a minute or"
            " two if its producer is gone; run the command again then."
        )
    return bounds


def _is_filled(bounds: LogBounds) -> bool:
    return bounds.high_watermark > bounds.log_start_offset


async def _copy_topic(source: Connection, target: Connection, topic: str, before: Bounds) -> TopicCopy:
    specs = {spec.name: spec for spec in topic_specs(Topics(source.kafka.topic_prefix), 1)}
    compacted = specs[topic].configs["cleanup.policy"] == "compact"
    partitions = [tp for tp in before if tp.topic == topic]
    copied = [await _copy_partition(source, target, tp, before[tp], compacted=compacted) for tp in partitions]
    return TopicCopy(topic, len(partitions), sum(each for each, _ in copied), sum(each for _, each in copied))


async def _copy_partition(
    source: Connection, target: Connection, tp: TopicPartition, bounds: LogBounds, *, compacted: bool
) -> tuple[int, int]:
    """Copy a partition and read the copy; return how many records it had, and how many of them the copy lacks by retention."""
    copied, found = Digest(compacted=compacted), Digest(compacted=compacted)
    producer = await TransactionalProducer.open(target, f"{target.kafka.topic_prefix}.copy")
    try:
        async for records in _read(source, tp, bounds):
            for record in records:
                copied.add(record)
            await producer.publish([_as_written(record) for record in records])
    finally:
        await producer.discard()
    async for records in _read(target, tp, (await _bounds(target, [tp.topic]))[tp]):
        for record in records:
            found.add(record)
    if (missing := found.missing_from(copied)) is None:
        raise RelayError(
            f"The copy of {partition_text(tp)} at {target.bootstrap} differs from what was read. Use nothing of it. {_AGAIN}"
        )
    return copied.records, missing


async def _read(
    connection: Connection, tp: TopicPartition, bounds: LogBounds
) -> AsyncIterator[Sequence[Record]]:
    with kafka_errors_as_relay_errors(connection):
        async with open_range_log(connection, DEFAULT_TIMING.times(connection.patience)) as log:
            async for part in log.read(tp, bounds.log_start_offset, bounds.last_stable_offset):
                if part.records:
                    yield part.records


def _as_written(record: Record) -> ProducerRecord:
    return ProducerRecord(
        record.topic, record.partition, record.key, record.value, record.timestamp, list(record.headers)
    )

"""Copy every topic of the relay to another Kafka, and prove each copy by reading it.

Offsets differ in the copy. Those that dead letters name are translated. Nothing else is: a consumer finds the record that it
delivered last, which its status names, and a producer compares its progress with the events on the topics. Both are what they do
after a fail-over to a mirror.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

from management.formatting import iso_seconds
from management.organizations.store import kafka_errors_as_relay_errors
from management.replay.jobs import read_replays
from management.topic_copier import TopicCopier, TopicCopy, read_bounds
from management.topic_portions import DELETE_AND_REPEAT
from relay.errors import RelayError
from relay.kafka import partition_text
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds
from relay.kafka.producer import MAX_BATCH_BYTES
from relay.kafka.topic_access import read_cluster_id
from relay.kafka.topic_admin import create_missing_topics, read_shard_count, read_topic_facts
from relay.kafka.topic_facts import TopicFacts, message_limit, without_key_and_headers
from relay.kafka.topics import NOT_VISIBLE, Topics
from relay.status.reader import read_statuses

CLUSTER_SECONDS = 10.0
"""For how long each Kafka is asked for its id."""


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
    await _require_another_kafka(source, target)
    await _require_idle(source, topics, now_ms)
    facts = await read_topic_facts(source)
    if hidden := facts.hidden.intersection(topics.all):
        raise RelayError(f"Nothing was copied. {', '.join(sorted(hidden))}: {NOT_VISIBLE}")
    target = await _create_topics(source, target, reread_ms)
    limits = await _require_room(facts, target, topics)
    if filled := {tp.topic for tp, at in (await read_bounds(target, topics.all)).items() if _is_filled(at)}:
        raise RelayError(
            f"Nothing was copied: {', '.join(sorted(filled))} have records at {target.bootstrap}. If they are of an earlier copy that nobody"
            f" uses: {DELETE_AND_REPEAT}"
        )
    existing = [topic for topic in topics.all if topic in facts.topics]
    before = await read_bounds(source, existing)
    copier = TopicCopier(source, target, topics, limits)
    for topic in topics.all:
        yield await copier.copy(topic, before)
    # The start of a log moves by itself: Kafka deletes what is older than its retention.
    if changed := [
        tp for tp, at in (await read_bounds(source, existing)).items() if _end(at) != _end(before[tp])
    ]:
        raise RelayError(
            f"The copy is not whole: {partition_text(changed[0])} changed meanwhile. Stop every service, console and"
            f" command that uses {source.bootstrap}. {DELETE_AND_REPEAT}"
        )


async def _require_another_kafka(source: Connection, target: Connection) -> None:
    """Raise RelayError where both are one Kafka: its topics have records, and the advice to delete them would be fatal."""
    ids = []
    for each in (source, target):
        with kafka_errors_as_relay_errors(each):
            ids.append(await read_cluster_id(each, CLUSTER_SECONDS * each.patience))
    if ids[1] is not None and ids[0] == ids[1]:
        raise RelayError(
            f"Nothing was copied: {target.bootstrap} is the Kafka of these settings itself (cluster {ids[1]}). Set kafka.bootstrap to the"
            " Kafka to copy to, and delete nothing."
        )


async def _require_idle(source: Connection, topics: Topics, now_ms: int) -> None:
    """Raise RelayError while a process of the relay reports, or a replay has not ended: its ranges are offsets of this Kafka."""
    with kafka_errors_as_relay_errors(source):
        statuses = await read_statuses(source, topics.status)
        replays = await read_replays(source, now_ms)
    running = [
        (key, status)
        for key, status in statuses.items()
        if key.startswith(("produce/", "consume/")) and status.valid_until > now_ms
    ]
    if running:
        key, status = running[0]
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
            f"Nothing was copied: the topics at {target.bootstrap} have {found} partitions, and these have {shards}. {DELETE_AND_REPEAT}"
        )
    return target


async def _require_room(facts: TopicFacts, target: Connection, topics: Topics) -> int:
    """Return the largest batch that every topic of the target accepts, in bytes.

    `facts`: of the source. Raises RelayError for a topic with fewer partitions than it has there: records keep their partition.
    """
    there = await read_topic_facts(target)
    for name, topic in facts.topics.items():
        if (found := there.topics[name].partitions if name in there.topics else 0) < topic.partitions:
            raise RelayError(
                f"Nothing was copied: {name} has {topic.partitions} partitions, and {found} at {target.bootstrap}. Delete it there, and"
                f" create it with {topic.partitions} (`kafka-topics.sh --create --partitions`)."
            )
    largest = min(message_limit(there, name, target.profile) for name in topics.all)
    return min(MAX_BATCH_BYTES, without_key_and_headers(largest))


def _end(bounds: LogBounds) -> tuple[int, int]:
    return bounds.last_stable_offset, bounds.high_watermark


def _is_filled(bounds: LogBounds) -> bool:
    return bounds.high_watermark > bounds.log_start_offset

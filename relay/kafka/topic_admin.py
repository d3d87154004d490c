"""Create topics, compare them with their configuration, and read their limits."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from relay.errors import RelayError, describe
from relay.kafka.connection import Connection
from relay.kafka.topics import MAX_EVENT_BYTES, Topics, TopicSpec, topic_specs

RECORD_OVERHEAD_BYTES = 20_000
ADMIN_SECONDS = 60.0
UNLIMITED_RETENTION_MS = 2**62


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The result for one topic. `problems` say what to fix; empty means correct."""

    name: str
    state: str
    problems: tuple[str, ...] = ()


async def create_missing_topics(connection: Connection) -> list[TopicReport]:
    """Create the missing topics, and report on all. Existing topics are never changed."""
    kafka = connection.kafka
    specs = topic_specs(Topics(kafka.topic_prefix), kafka.shards)
    replicas = kafka.replication_factor
    common = {"min.insync.replicas": str(max(1, replicas - 1))}
    async with _admin(connection) as admin:
        existing = await _partition_counts(admin, [spec.name for spec in specs])
        missing = [spec for spec in specs if spec.name not in existing]
        new = [
            NewTopic(s.name, s.partitions, replicas, topic_configs={**s.configs, **common}) for s in missing
        ]
        created = (
            _created_names((await admin.create_topics(new, timeout_ms=20_000)).topic_errors) if new else set()
        )
        await _wait_until_visible(admin, [spec.name for spec in specs])
    return [
        TopicReport(report.name, "created" if report.name in created else report.state, report.problems)
        for report in await compare_topics(connection)
    ]


def _created_names(errors: list[tuple[str, int, str | None]]) -> set[str]:
    """Return the topics that this call created; another process may have created some first."""
    for topic, code, message in errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise RelayError(
                f"Kafka did not create the topic {topic}: {message or error.__name__}. "
                "Check the rights of the relay's user and kafka.replication_factor."
            )
    return {topic for topic, code, _ in errors if not code}


async def _wait_until_visible(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait until Kafka lists new topics, which takes a moment."""
    for _ in range(100):
        if len(await _partition_counts(admin, names)) == len(names):
            return
        await asyncio.sleep(0.1)
    raise RelayError(
        "Kafka created the topics, but does not list them after 10 s. Run `jira-relay topics check`."
    )


async def compare_topics(connection: Connection) -> list[TopicReport]:
    """Compare the topics with their configuration. Changes nothing."""
    kafka = connection.kafka
    topics = Topics(kafka.topic_prefix)
    specs = topic_specs(topics, kafka.shards)
    async with _admin(connection) as admin:
        counts = await _partition_counts(admin, [spec.name for spec in specs])
        configs = await _configs(admin, list(counts)) if connection.profile.admin else {}
    shards = counts.get(topics.organizations)
    return [_report(spec, topics, shards, counts, configs) for spec in specs]


def _report(
    spec: TopicSpec,
    topics: Topics,
    shards: int | None,
    counts: Mapping[str, int],
    configs: Mapping[str, Mapping[str, str]],
) -> TopicReport:
    if spec.name not in counts:
        return TopicReport(
            spec.name, "missing", ("The topic does not exist: run `jira-relay topics create`.",)
        )
    problems = []
    count = counts[spec.name]
    if spec.name in topics.sharded and shards is not None and count != shards:
        problems.append(
            f"It has {count} partitions, and {topics.organizations} has {shards}: the counts must be equal."
        )
    actual = configs.get(spec.name, {})
    for name, wanted in spec.configs.items():
        found = actual.get(name)
        if found is not None and _differs(name, wanted, found):
            problems.append(f"{name} is {found}: set it to {wanted}.")
    return TopicReport(spec.name, "different" if problems else "as it should be", tuple(problems))


def _differs(name: str, wanted: str, found: str) -> bool:
    if name in {"retention.ms", "max.message.bytes"}:
        return int(found) != -1 and int(found) < int(wanted)
    if name in {"segment.ms", "segment.bytes", "min.cleanable.dirty.ratio"}:
        return False
    return wanted != found


async def read_shard_count(connection: Connection) -> int:
    """Return the number of shards, which is the partition count of the organizations topic.

    Raises RelayError if a sharded topic is missing or has another count.
    """
    topics = Topics(connection.kafka.topic_prefix)
    async with _admin(connection) as admin:
        counts = await _partition_counts(admin, list(topics.sharded))
    if missing := [name for name in topics.sharded if name not in counts]:
        raise RelayError(f"Kafka has no topic {missing[0]}: run `jira-relay topics create`.")
    if len(set(counts.values())) > 1:
        raise RelayError(
            f"The partition counts of the topics must be equal, and are {counts}. Run `jira-relay topics check`."
        )
    return counts[topics.organizations]


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """The limits that hold for all sharded topics, as far as Kafka reports them."""

    max_event_bytes: int = MAX_EVENT_BYTES
    """Size of an event, in bytes, that every sharded topic accepts. Some room is left for keys, headers and framing."""
    retention_ms: int = 0
    """Retention of the event topics, in ms. 0: unknown."""


async def read_limits(connection: Connection) -> TopicLimits:
    """Read the limits of the existing topics, which an operator may have created."""
    topics, profile = Topics(connection.kafka.topic_prefix), connection.profile
    configs: dict[str, dict[str, str]] = {}
    if profile.admin:
        async with _admin(connection) as admin:
            configs = await _configs(admin, list(topics.sharded))
    told = [int(found["max.message.bytes"]) for found in configs.values() if "max.message.bytes" in found]
    return TopicLimits(
        min(
            [
                MAX_EVENT_BYTES,
                *(limit - RECORD_OVERHEAD_BYTES for limit in (profile.max_request_bytes, *told)),
            ]
        ),
        min(_retention_ms(configs.get(name, {})) for name in (topics.events, topics.backfill)),
    )


def _retention_ms(config: Mapping[str, str]) -> int:
    if config.get("retention.bytes") != "-1":
        return 0
    retention = int(config.get("retention.ms", 0))
    return UNLIMITED_RETENTION_MS if retention == -1 else retention


@asynccontextmanager
async def _admin(connection: Connection) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yield an admin client. Raises RelayError if Kafka fails meanwhile."""
    await connection.verify()
    admin = AIOKafkaAdminClient(**connection.options(), request_timeout_ms=20_000)
    try:
        async with asyncio.timeout(ADMIN_SECONDS):
            await admin.start()
            yield admin
    except (KafkaError, TimeoutError) as error:
        raise RelayError(
            f"Kafka at {connection.bootstrap} did not answer a question about its topics: "
            f"{describe(error)}. It may be starting; try again, and if this lasts, see its log."
        ) from error
    finally:
        await admin.close()


async def _partition_counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    present = set(await admin.list_topics()) & set(names)
    if not present:
        return {}
    described = await admin.describe_topics(sorted(present))
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    try:
        answers = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        )
    except KafkaError:
        return {}
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for _code, _message, _type, name, entries in answer.resources:
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found

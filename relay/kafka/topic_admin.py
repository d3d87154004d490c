"""Create topics, compare them with their configuration, and read what Kafka reports about them."""

import asyncio
import time
from collections.abc import AsyncIterator, Container, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, for_code

from relay.errors import RelayError, describe
from relay.kafka.aiokafka_patches.client import hidden_topics_of, patch_admin
from relay.kafka.connection import Connection
from relay.kafka.topic_comparison import (
    DEFAULT_REREAD_MS,
    ExistingTopic,
    TopicReport,
    compare_topic,
    data_loss_risks,
)
from relay.kafka.topic_copies import PartitionCopies
from relay.kafka.topic_creation import Creation, create_topics
from relay.kafka.topic_facts import TopicFacts, shard_count
from relay.kafka.topics import NOT_VISIBLE, Topics, topic_specs


@dataclass(frozen=True, slots=True)
class AdminTiming:
    """Bounds of questions about topics, in seconds: all of one command, one request, and the listing of new topics."""

    seconds: float = 60.0
    request_seconds: float = 20.0
    listing_seconds: float = 30.0

    def times(self, patience: float) -> "AdminTiming":
        """Return the bounds multiplied by `patience`."""
        return AdminTiming(
            *(patience * each for each in (self.seconds, self.request_seconds, self.listing_seconds))
        )


DEFAULT_TIMING = AdminTiming()


async def create_missing_topics(
    connection: Connection, reread_ms: int = DEFAULT_REREAD_MS, timing: AdminTiming = DEFAULT_TIMING
) -> list[TopicReport]:
    """Create the missing topics, and report on all. Existing topics are never changed.

    New topics get the partition count of existing ones. A refused topic has the state "refused".
    Raises RelayError, and creates nothing, if the partition counts of existing topics differ.
    """
    kafka = connection.kafka
    topics = Topics(kafka.topic_prefix)
    async with _admin(connection, timing) as admin:
        existing = await _describe(admin, list(topics.all))
        if hidden := await hidden_topics_of(admin, _without(topics.all, existing)):
            raise RelayError(f"No topic was created. {', '.join(sorted(hidden))}: {NOT_VISIBLE}")
        shards = _common_shard_count(topics, existing) or kafka.shards
        specs = topic_specs(topics, shards)
        missing = [spec for spec in specs if spec.name not in existing]
        creation = await create_topics(admin, missing, kafka.replication_factor)
        created = [spec.name for spec in specs if spec.name not in creation.problems]
        await _wait_until_visible(admin, created, timing.times(connection.patience))
    if shards != kafka.shards:
        for name in creation.created & set(topics.sharded):
            creation.add_note(name, f"It has {shards} partitions, as existing topics, and not kafka.shards.")
    return [
        _with_creation(report, creation) for report in await compare_topics(connection, reread_ms, timing)
    ]


def _common_shard_count(topics: Topics, existing: Mapping[str, ExistingTopic]) -> int | None:
    """Return the partition count of the existing sharded topics, None if there are none.

    Raises RelayError if the counts differ.
    """
    counts = {name: existing[name].partitions for name in topics.sharded if name in existing}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise RelayError(
            f"No topic was created: existing topics differ in their partition counts ({found}). Delete those that "
            "hold no records (`kafka-topics.sh --delete --topic TOPIC`), and run `jira-relay topics create` again. "
            "Where all hold records, set another kafka.topic_prefix: more partitions would separate records of a key."
        )
    return next(iter(counts.values()), None)


def _with_creation(report: TopicReport, creation: Creation) -> TopicReport:
    if report.name in creation.problems:
        return TopicReport(report.name, "refused", (creation.problems[report.name],))
    if report.name not in creation.created:
        return report
    return replace(report, state="created", notes=(*creation.notes.get(report.name, ()), *report.notes))


async def _wait_until_visible(admin: AIOKafkaAdminClient, names: list[str], timing: AdminTiming) -> None:
    """Wait until Kafka lists new topics, which takes a moment."""
    end = time.monotonic() + timing.listing_seconds
    while time.monotonic() < end:
        if len(await _describe(admin, names)) == len(names):
            return
        await asyncio.sleep(0.1)
    raise RelayError(
        f"Kafka created the topics, but does not list them after {timing.listing_seconds:.0f} s."
        " Run `jira-relay topics check`."
    )


async def compare_topics(
    connection: Connection, reread_ms: int = DEFAULT_REREAD_MS, timing: AdminTiming = DEFAULT_TIMING
) -> list[TopicReport]:
    """Compare the topics with their configuration. Changes nothing.

    `reread_ms`: how far back the producer reads Jira again, in ms.
    """
    kafka = connection.kafka
    topics = Topics(kafka.topic_prefix)
    specs = topic_specs(topics, kafka.shards)
    async with _admin(connection, timing) as admin:
        existing = await _describe(admin, [spec.name for spec in specs])
        hidden = await hidden_topics_of(admin, _without(topics.all, existing))
        configs, errors = await _configs(admin, list(existing)) if connection.profile.admin else ({}, {})
    refused = {name for name, error in errors.items() if isinstance(error, TopicAuthorizationFailedError)}
    found = {
        name: replace(topic, configs=configs.get(name, {}), refused=name in refused)
        for name, topic in existing.items()
    }
    risks = data_loss_risks(topics, configs, reread_ms)
    return [compare_topic(spec, found, kafka, risks, hidden) for spec in specs]


def _without(names: Iterable[str], existing: Container[str]) -> list[str]:
    return [name for name in names if name not in existing]


async def read_topic_facts(connection: Connection, timing: AdminTiming = DEFAULT_TIMING) -> TopicFacts:
    """Return what Kafka reports about the relay's topics, over one connection. Raises RelayError if it does not answer."""
    topics = Topics(connection.kafka.topic_prefix)
    async with _admin(connection, timing) as admin:
        existing = await _describe(admin, list(topics.all))
        hidden = await hidden_topics_of(admin, _without(topics.all, existing))
        if not connection.profile.admin:
            return TopicFacts(existing, hidden=frozenset(hidden))
        configs, errors = await _configs(admin, list(existing))
    found = {name: replace(topic, configs=configs.get(name, {})) for name, topic in existing.items()}
    return TopicFacts(found, {name: describe(error) for name, error in errors.items()}, frozenset(hidden))


async def read_shard_count(connection: Connection, timing: AdminTiming = DEFAULT_TIMING) -> int:
    """Return the number of shards; see `shard_count`."""
    topics = Topics(connection.kafka.topic_prefix)
    async with _admin(connection, timing) as admin:
        existing = await _describe(admin, list(topics.sharded))
        hidden = await hidden_topics_of(admin, _without(topics.sharded, existing))
    return shard_count(TopicFacts(existing, hidden=frozenset(hidden)), topics)


@asynccontextmanager
async def _admin(connection: Connection, timing: AdminTiming) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yield an admin client. Raises RelayError if Kafka fails meanwhile."""
    await connection.verify()
    timing = timing.times(connection.patience)
    admin = AIOKafkaAdminClient(**connection.options(), request_timeout_ms=int(timing.request_seconds * 1000))
    patch_admin(admin)
    try:
        async with asyncio.timeout(timing.seconds):
            await admin.start()
            yield admin
    except (KafkaError, TimeoutError) as error:
        raise RelayError(
            f"Kafka at {connection.bootstrap} did not answer a question about its topics: "
            f"{describe(error)}. It may be starting; try again, and if this lasts, see its log."
        ) from error
    finally:
        await admin.close()


async def _describe(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, ExistingTopic]:
    """Return the existing topics of these names, without their settings. A missing topic is not named in a request."""
    present = set(await admin.list_topics()) & set(names)
    if not present:
        return {}
    return {
        topic["topic"]: ExistingTopic(
            len(topic["partitions"]),
            min((len(partition["replicas"]) for partition in topic["partitions"]), default=0),
            {},
            copies=tuple(
                PartitionCopies(
                    each["partition"], each["leader"], tuple(each["replicas"]), tuple(each["isr"])
                )
                for each in topic["partitions"]
            ),
        )
        for topic in await admin.describe_topics(sorted(present))
    }


async def _configs(
    admin: AIOKafkaAdminClient, names: list[str]
) -> tuple[dict[str, dict[str, str]], dict[str, KafkaError]]:
    """Return the settings by topic, and the error by topic where Kafka does not report them."""
    if not names:
        return {}, {}
    try:
        answers = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        )
    except KafkaError as error:
        return {}, dict.fromkeys(names, error)
    found: dict[str, dict[str, str]] = {}
    errors: dict[str, KafkaError] = {}
    for answer in answers:
        for code, message, _type, name, entries in answer.resources:
            if code:
                errors[name] = for_code(code)(message)
            else:
                found[name] = {entry[0]: entry[1] for entry in entries}
    return found, errors

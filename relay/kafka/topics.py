"""Names and configuration of the relay's topics."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka.partitioner import murmur2

from relay.timestamps import DAY_MS

MAX_EVENT_BYTES = 4_000_000
MAX_MESSAGE_BYTES = 5_000_000

TUNING_SETTINGS = frozenset({"segment.ms", "segment.bytes", "min.cleanable.dirty.ratio"})
"""Settings that let Kafka compact early. The relay works with any value."""
OPTIONAL_SETTINGS = TUNING_SETTINGS | {"max.message.bytes", "message.timestamp.type", "min.insync.replicas"}
"""Settings without which a topic can be created. `topics check` then compares the cluster's own values."""

NOT_VISIBLE = (
    "The topic is not visible to this user, so whether it exists is not known. Grant Describe on it; `jira-relay check`"
    " names the command."
)

_COMPACTED = {
    "cleanup.policy": "compact",
    "message.timestamp.type": "CreateTime",
    "segment.ms": "3600000",
    "segment.bytes": "16777216",
    "min.cleanable.dirty.ratio": "0.1",
    "max.message.bytes": str(MAX_MESSAGE_BYTES),
}


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the relay's topics."""

    prefix: str

    @property
    def organizations(self) -> str:
        return f"{self.prefix}.organizations"

    @property
    def progress(self) -> str:
        return f"{self.prefix}.progress"

    @property
    def events(self) -> str:
        return f"{self.prefix}.events"

    @property
    def backfill(self) -> str:
        return f"{self.prefix}.backfill"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}.dead-letters"

    @property
    def status(self) -> str:
        return f"{self.prefix}.status"

    @property
    def changes(self) -> str:
        return f"{self.prefix}.changes"

    @property
    def destinations(self) -> str:
        return f"{self.prefix}.destinations"

    @property
    def replays(self) -> str:
        return f"{self.prefix}.replays"

    @property
    def seals(self) -> str:
        return f"{self.prefix}.seals"

    @property
    def schemas(self) -> str:
        return f"{self.prefix}.schemas"

    @property
    def sharded(self) -> tuple[str, ...]:
        """Return the topics that are keyed by organization. They have equal partition counts."""
        return (self.organizations, self.progress, self.events, self.backfill, self.dead_letters)

    @property
    def all(self) -> tuple[str, ...]:
        """Return every topic of the relay."""
        return (
            *self.sharded,
            self.status,
            self.changes,
            self.destinations,
            self.replays,
            self.seals,
            self.schemas,
        )


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """The configuration that a topic should have."""

    name: str
    partitions: int
    configs: Mapping[str, str]


def partition_of(key: str | bytes, partitions: int) -> int:
    """Return the partition of a key, as the default partitioner of Kafka's Java client computes it."""
    return int((murmur2(key.encode() if isinstance(key, str) else key) & 0x7FFFFFFF) % partitions)


def topic_specs(topics: Topics, shards: int) -> list[TopicSpec]:
    """Return the configuration of every topic. `shards`: partition count of the sharded topics."""
    return [
        TopicSpec(topics.organizations, shards, _COMPACTED),
        TopicSpec(topics.progress, shards, _COMPACTED),
        TopicSpec(topics.events, shards, _retained(30)),
        TopicSpec(topics.backfill, shards, _retained(30)),
        TopicSpec(topics.dead_letters, shards, _retained(90)),
        TopicSpec(topics.status, 1, _COMPACTED),
        TopicSpec(topics.changes, 1, _retained(400)),
        TopicSpec(topics.destinations, 1, _COMPACTED),
        TopicSpec(topics.replays, 1, _COMPACTED),
        TopicSpec(topics.seals, 1, _COMPACTED),
        TopicSpec(topics.schemas, 1, _COMPACTED),
    ]


def _retained(days: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(days * DAY_MS),
        "message.timestamp.type": "CreateTime",
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
    }

"""What Kafka reports about the relay's topics in one look, and what follows from it for the services. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from relay.errors import RelayError
from relay.kafka.producer import MAX_BATCH_BYTES
from relay.kafka.profile import Profile
from relay.kafka.topic_comparison import ExistingTopic
from relay.kafka.topics import MAX_EVENT_BYTES, NOT_VISIBLE, Topics

KEY_AND_HEADERS_BYTES = 20_000
"""Kept free in a message for key, headers and framing; an event has less."""
UNLIMITED_RETENTION_MS = 2**62


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """The existing topics by name, and the topics whose settings Kafka does not report, with its reason."""

    topics: Mapping[str, ExistingTopic]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    """Topics that the relay's user may not see."""

    def config(self, topic: str) -> Mapping[str, str]:
        """Return the settings of a topic. Empty: it does not exist, or Kafka does not report them."""
        found = self.topics.get(topic)
        return {} if found is None else found.configs


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """The limits of the sharded topics, as far as Kafka reports them. Sizes are bytes of a value."""

    max_event_bytes: int = MAX_EVENT_BYTES
    """An event that the topic of events accepts. Room is left for key, headers and framing."""
    retention_ms: int = 0
    """Retention of the event topics, in ms. 0: unknown."""
    max_backfill_bytes: int = MAX_EVENT_BYTES
    max_dead_letter_bytes: int = MAX_EVENT_BYTES
    max_progress_bytes: int = MAX_EVENT_BYTES
    max_batch_bytes: int = MAX_BATCH_BYTES
    """A record batch that every topic of the producer's transactions accepts."""


def shard_count(facts: TopicFacts, topics: Topics) -> int:
    """Return the number of shards, which is the partition count of the organizations topic.

    Raises RelayError if a sharded topic is missing or has another count.
    """
    if hidden := facts.hidden.intersection(topics.sharded):
        raise RelayError(f"{', '.join(sorted(hidden))}: {NOT_VISIBLE}")
    counts = {name: facts.topics[name].partitions for name in topics.sharded if name in facts.topics}
    if missing := [name for name in topics.sharded if name not in counts]:
        raise RelayError(f"Kafka has no topic {missing[0]}: run `jira-relay topics create`.")
    if len(set(counts.values())) > 1:
        raise RelayError(
            f"The partition counts of the topics must be equal, and are {counts}. Run `jira-relay topics check`."
        )
    return counts[topics.organizations]


def topic_limits(
    facts: TopicFacts, topics: Topics, profile: Profile, shown_bytes: Mapping[str, int] = MappingProxyType({})
) -> TopicLimits:
    """Return the limits of the topics. `shown_bytes`: limits of messages that refusals have shown, by topic."""
    messages = {
        name: message_limit(facts, name, profile, shown_bytes.get(name))
        for name in topics.sharded
        if name != topics.organizations
    }

    def value_limit(name: str) -> int:
        return min(MAX_EVENT_BYTES, without_key_and_headers(messages[name]))

    return TopicLimits(
        value_limit(topics.events),
        min(retention_ms(facts.config(name)) or 0 for name in (topics.events, topics.backfill)),
        value_limit(topics.backfill),
        value_limit(topics.dead_letters),
        value_limit(topics.progress),
        min(MAX_BATCH_BYTES, *map(without_key_and_headers, messages.values())),
    )


def message_limit(facts: TopicFacts, name: str, profile: Profile, shown: int | None = None) -> int:
    """Return the largest message that a topic accepts, in bytes. `shown`: by a refusal; None: there was none."""
    size = facts.config(name).get("max.message.bytes")
    known = [int(size)] if size is not None else []
    return min([profile.max_request_bytes, *known, *([] if shown is None else [shown])])


def without_key_and_headers(limit: int) -> int:
    """Return the bytes that are left for a value. A small limit keeps three quarters."""
    return max(1, limit - min(KEY_AND_HEADERS_BYTES, limit // 4))


def retention_ms(config: Mapping[str, str]) -> int | None:
    """Return how long a topic keeps records, in ms; None: Kafka does not report it, or a limit in bytes decides."""
    if config.get("retention.bytes") != "-1" or "retention.ms" not in config:
        return None
    retention = int(config["retention.ms"])
    return UNLIMITED_RETENTION_MS if retention == -1 else retention


def unknown_text(facts: TopicFacts, names: Collection[str]) -> str | None:
    """Return which settings of these topics are not known and why; None: Kafka reports all of them."""
    unreadable = {name: reason for name, reason in facts.unreadable.items() if name in names}
    if not unreadable:
        return None
    reasons: Sequence[str] = sorted(set(unreadable.values()))
    return (
        f"Kafka does not report the settings of {', '.join(sorted(unreadable))} ({'; '.join(reasons)}): whether "
        "they cause data loss is unknown. Grant DescribeConfigs on the topics, or run `jira-relay topics check` as a user with it."
    )

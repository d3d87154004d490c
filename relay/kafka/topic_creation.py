"""Create topics, also on clusters that refuse some of their settings."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidRequestError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from relay.kafka.topics import OPTIONAL_SETTINGS, TUNING_SETTINGS, TopicSpec

CREATE_TIMEOUT_MS = 20_000

_SETTING_ERRORS = (InvalidConfigurationError, PolicyViolationError, InvalidRequestError)
_AUTHORIZATION_ERRORS = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Kafka's answer to one topic that it did not create."""

    error: type[Exception]
    message: str


@dataclass(slots=True)
class Creation:
    """The result of a creation, by topic. `notes`: how it differs from the specification. `problems`: not created."""

    created: set[str] = field(default_factory=set)
    notes: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def add_note(self, topic: str, note: str) -> None:
        self.notes.setdefault(topic, []).append(note)


async def create_topics(admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec], replicas: int) -> Creation:
    """Create topics. A refused topic is asked for again without the optional settings that may be the reason.

    Raises KafkaError if Kafka does not answer. A refusal is a problem in the result, and stops no other topic.
    """
    in_sync = {"min.insync.replicas": str(max(1, replicas - 1))}
    pending = {spec.name: replace(spec, configs={**spec.configs, **in_sync}) for spec in specs}
    creation, left_out = Creation(), dict[str, list[str]]()
    while pending:
        answers = await _request_creation(admin, pending.values(), replicas)
        again = {}
        for name, refusal in answers.items():
            spec = pending[name]
            if refusal is None:
                creation.created.add(name)
            elif dropped := settings_to_leave_out(refusal, spec.configs):
                left_out.setdefault(name, []).extend(sorted(dropped))
                kept = {key: value for key, value in spec.configs.items() if key not in dropped}
                again[name] = replace(spec, configs=kept)
                creation.notes[name] = [_note(left_out[name], refusal)]
            elif refusal.error is not TopicAlreadyExistsError:  # another process may have created it first
                creation.problems[name] = describe_refusal(refusal, spec, replicas)
        pending = again
    return creation


async def _request_creation(
    admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec], replicas: int
) -> dict[str, Refusal | None]:
    """Return Kafka's answer by topic, None for a created one."""
    new = [NewTopic(spec.name, spec.partitions, replicas, topic_configs=spec.configs) for spec in specs]
    answer = await admin.create_topics(new, timeout_ms=CREATE_TIMEOUT_MS)
    return {
        name: Refusal(for_code(code), message or for_code(code).__name__) if code else None
        for name, code, message in answer.topic_errors
    }


def settings_to_leave_out(refusal: Refusal, configs: Mapping[str, str]) -> set[str]:
    """Return the optional settings to try without, empty if none can be the reason.

    1. Managed clusters refuse settings by a policy, with a text of their own that may name the setting.
    2. A named setting is left out, a tuning setting first: the text may also list the settings that are allowed.
    3. A text that names only required settings, the replication factor or the partitions leaves nothing to try.
    4. Any other text may mean each optional setting.
    """
    if not issubclass(refusal.error, _SETTING_ERRORS):
        return set()
    named = {name for name in configs if _names(refusal.message, name)}
    if optional := (named & TUNING_SETTINGS) or (named & OPTIONAL_SETTINGS):
        return optional
    if named or _is_about_replication(refusal) or _is_about_partitions(refusal):
        return set()
    return (configs.keys() & TUNING_SETTINGS) or (configs.keys() & OPTIONAL_SETTINGS)


def _names(message: str, setting: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(setting)}(?!\w)", message) is not None


def _is_about_replication(refusal: Refusal) -> bool:
    return refusal.error is InvalidReplicationFactorError or (
        issubclass(refusal.error, _SETTING_ERRORS) and "replication" in refusal.message.lower()
    )


def _is_about_partitions(refusal: Refusal) -> bool:
    return refusal.error is InvalidPartitionsError or (
        issubclass(refusal.error, _SETTING_ERRORS) and "partition" in refusal.message.lower()
    )


def _note(settings: Sequence[str], refusal: Refusal) -> str:
    return f"Kafka refused {', '.join(settings)} ({_reason(refusal)}). The topic has the cluster's own values instead."


def describe_refusal(refusal: Refusal, spec: TopicSpec, replicas: int) -> str:
    """Return why Kafka did not create a topic, and what to do."""
    reason = _reason(refusal)
    if _is_about_replication(refusal):
        return (
            f"Kafka refused {replicas} replicas: {reason}. Set kafka.replication_factor to a count that the cluster "
            "allows, at most its number of brokers, and run `jira-relay topics create` again."
        )
    if _is_about_partitions(refusal):
        return (
            f"Kafka refused {spec.partitions} partitions: {reason}. Set kafka.shards to a count that the cluster "
            "allows, or have its limit raised, and run `jira-relay topics create` again."
        )
    if issubclass(refusal.error, _AUTHORIZATION_ERRORS):
        return (
            f"The relay's user may not create it: {reason}. Grant Create on topics with the prefix "
            "kafka.topic_prefix, and run `jira-relay topics create` again."
        )
    if issubclass(refusal.error, _SETTING_ERRORS):
        settings = ", ".join(f"{name}={value}" for name, value in spec.configs.items())
        return (
            f"Kafka refused its settings: {reason}. The relay needs {settings}: have the cluster's policy changed, "
            "or create the topic with the tools of the cluster."
        )
    return f"Kafka did not create it: {reason}. Run `jira-relay topics create` again."


def _reason(refusal: Refusal) -> str:
    return refusal.message.strip().removesuffix(".")

"""Compare existing topics with their configuration. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from relay.config.kafka import KafkaConfig
from relay.kafka.topic_copies import PartitionCopies, copy_problem
from relay.kafka.topics import NOT_VISIBLE, TUNING_SETTINGS, Topics, TopicSpec, topic_specs
from relay.timestamps import DAY_MS

DEFAULT_REREAD_MS = 7 * DAY_MS
"""The default of producer.late_days."""
MIN_RETENTION_MS = DAY_MS
"""A shorter retention loses what one outage of a day delays."""
MIN_USABLE_BYTES = 20_000
"""A smaller max.message.bytes refuses checkpoints with many unread ranges, and headers of dead letters: nothing is published."""
MIN_MESSAGE_BYTES = 1_000_000
"""A smaller max.message.bytes is a problem. Event Hubs accepts no larger record, and the relay runs there."""


_SETTINGS_REFUSED = (
    "Its settings are not visible to this user, so whether they are right is not known. Grant DescribeConfigs on it;"
    " `jira-relay check` names the command."
)

_SETTINGS_NOT_REPORTED = "This Kafka does not report its settings, so they were not compared."


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The result for one topic. `problems` say what to fix; empty means correct. `notes` need no action."""

    name: str
    state: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """A topic as Kafka reports it. `replicas`: smallest count of a partition. `configs`: empty if not reported.

    `refused`: the user may not read its settings. `copies`: of each partition.
    """

    partitions: int
    replicas: int
    configs: Mapping[str, str]
    refused: bool = False
    copies: tuple[PartitionCopies, ...] = ()

    @property
    def min_in_sync(self) -> int:
        """The copies that a write needs; 1 where Kafka does not report it."""
        return int(self.configs.get("min.insync.replicas", 1))


@dataclass(frozen=True, slots=True)
class DataLossRisk:
    """A setting of an existing topic with which Kafka deletes or refuses records that the relay needs."""

    topic: str
    setting: str
    found: str
    wanted: str
    loss: str
    alternative: str = ""

    def command(self, bootstrap: str) -> str:
        """Return the command that mends it."""
        return (
            f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics "
            f"--entity-name {self.topic} --add-config {self.setting}={self.wanted}"
        )

    def describe(self, bootstrap: str) -> str:
        """Return the loss, and the command that mends it."""
        return (
            f"{self.setting} is {self.found}: {self.loss}. Run `{self.command(bootstrap)}`{self.alternative}."
        )


def data_loss_risks(
    topics: Topics, configs: Mapping[str, Mapping[str, str]], reread_ms: int
) -> list[DataLossRisk]:
    """Return the settings of existing topics that lose or refuse records. A topic or setting that is not reported has none.

    `reread_ms`: how far back the producer reads Jira again, in ms.
    """
    found = [_policy_risk(spec, configs.get(spec.name, {})) for spec in topic_specs(topics, 1)]
    found += [
        _size_risk(spec, configs.get(spec.name, {}))
        for spec in topic_specs(topics, 1)
        if spec.name in {topics.progress, topics.events, topics.backfill, topics.dead_letters}
    ]
    found += [
        _retention_risk(spec, configs.get(spec.name, {}), reread_ms)
        for spec in topic_specs(topics, 1)
        if spec.name in {topics.events, topics.backfill}
    ]
    return [risk for risk in found if risk is not None]


def delivery_risks(topics: Topics, configs: Mapping[str, Mapping[str, str]]) -> list[DataLossRisk]:
    """Return the settings with which Kafka deletes events before their delivery, or dead letters before they are seen."""
    specs = [
        spec
        for spec in topic_specs(topics, 1)
        if spec.name in {topics.events, topics.backfill, topics.dead_letters}
    ]
    found = [_policy_risk(spec, configs.get(spec.name, {})) for spec in specs]
    found += [_short_retention_risk(spec, configs.get(spec.name, {})) for spec in specs]
    return [risk for risk in found if risk is not None]


def _short_retention_risk(spec: TopicSpec, config: Mapping[str, str]) -> DataLossRisk | None:
    found = config.get("retention.ms")
    if found is None or not 0 <= int(found) < MIN_RETENTION_MS:
        return None
    loss = "Kafka deletes its records within a day, delivered or not"
    return DataLossRisk(spec.name, "retention.ms", found, spec.configs["retention.ms"], loss)


def _size_risk(spec: TopicSpec, config: Mapping[str, str]) -> DataLossRisk | None:
    found = config.get("max.message.bytes")
    if found is None or int(found) >= MIN_USABLE_BYTES:
        return None
    loss = "Kafka refuses records of ordinary size, so no transaction of the producer can end"
    return DataLossRisk(spec.name, "max.message.bytes", found, spec.configs["max.message.bytes"], loss)


def _policy_risk(spec: TopicSpec, config: Mapping[str, str]) -> DataLossRisk | None:
    wanted = spec.configs["cleanup.policy"]
    found = config.get("cleanup.policy", wanted)
    policies = {policy.strip() for policy in found.split(",")}
    if wanted == "delete" and "compact" in policies:
        loss = "Kafka deletes all but the newest record of each key"
    elif wanted == "compact" and "delete" in policies and not _keeps_for_ever(config):
        loss = "Kafka deletes records by their age, and the relay needs the newest of each key"
    else:
        return None
    return DataLossRisk(spec.name, "cleanup.policy", found, wanted, loss)


def _keeps_for_ever(config: Mapping[str, str]) -> bool:
    """Return whether the policy `delete` deletes nothing. Removing a corrupt batch needs the policy for a while."""
    return config.get("retention.ms") == "-1" and config.get("retention.bytes") == "-1"


def _retention_risk(spec: TopicSpec, config: Mapping[str, str], reread_ms: int) -> DataLossRisk | None:
    found = config.get("retention.ms")
    if found is None or not 0 <= int(found) < reread_ms:
        return None
    loss = (
        f"the producer reads the last {reread_ms // DAY_MS} days again, and Kafka deletes their events before"
    )
    return DataLossRisk(
        spec.name, "retention.ms", found, spec.configs["retention.ms"], loss, ", or lower producer.late_days"
    )


def compare_topic(
    spec: TopicSpec,
    existing: Mapping[str, ExistingTopic],
    kafka: KafkaConfig,
    risks: list[DataLossRisk],
    hidden: Collection[str] = (),
) -> TopicReport:
    """Compare one topic with its configuration. `risks`: those of all topics. `hidden`: topics that the user may not see."""
    if spec.name in hidden:
        return TopicReport(spec.name, "not visible", (NOT_VISIBLE,))
    if spec.name not in existing:
        return TopicReport(
            spec.name, "missing", ("The topic does not exist: run `jira-relay topics create`.",)
        )
    found = existing[spec.name]
    own = {
        risk.setting: risk.describe(kafka.bootstrap or "HOST:PORT")
        for risk in risks
        if risk.topic == spec.name
    }
    problems = [
        *_partition_problems(spec, existing, Topics(kafka.topic_prefix)),
        *own.values(),
        *_replication_problems(found, kafka.replication_factor),
        *_config_problems({name: value for name, value in spec.configs.items() if name not in own}, found),
        *filter(None, (copy_problem(found.copies, found.min_in_sync),)),
    ]
    state = "different" if problems else "correct"
    if found.refused:
        state, problems = "not known" if not problems else state, [*problems, _SETTINGS_REFUSED]
    elif not found.configs:
        state = "exists" if not problems else state
    return TopicReport(spec.name, state, tuple(problems), tuple(_notes(spec, found)))


def _partition_problems(spec: TopicSpec, existing: Mapping[str, ExistingTopic], topics: Topics) -> list[str]:
    count, reference = existing[spec.name].partitions, existing.get(topics.organizations)
    if spec.name not in topics.sharded or reference is None or count == reference.partitions:
        return []
    return [
        f"It has {count} partitions, and {topics.organizations} has {reference.partitions}: the counts must be equal."
    ]


def _replication_problems(found: ExistingTopic, factor: int) -> list[str]:
    """Return the problems with replicas. Without reported settings (Event Hubs) replication is not checked."""
    if "min.insync.replicas" not in found.configs:
        return []
    replicas, in_sync = found.replicas, int(found.configs["min.insync.replicas"])
    problems = []
    if replicas < factor:
        problems.append(
            f"It has {_replicas(replicas)}, and kafka.replication_factor is {factor}: add replicas with "
            "`kafka-reassign-partitions.sh`, or lower kafka.replication_factor."
        )
    if in_sync < min(2, replicas - 1):
        problems.append(
            f"min.insync.replicas is {in_sync}: set it to {min(2, replicas - 1)}, or the loss of a broker can "
            "cost acknowledged records."
        )
    elif in_sync >= max(2, replicas):
        problems.append(
            f"min.insync.replicas is {in_sync}, and it has {_replicas(replicas)}: set it to {max(1, replicas - 1)}, "
            "or Kafka rejects every write while one broker is away."
        )
    return problems


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"


def _config_problems(wanted: Mapping[str, str], found: ExistingTopic) -> list[str]:
    return [
        f"{name} is {found.configs[name]}: set it to {value}."
        for name, value in wanted.items()
        if name in found.configs and _differs(name, value, found.configs[name])
    ]


def _differs(name: str, wanted: str, found: str) -> bool:
    if name == "max.message.bytes":
        return int(found) < MIN_MESSAGE_BYTES
    if name == "retention.ms":
        return int(found) != -1 and int(found) < int(wanted)
    return name not in TUNING_SETTINGS and wanted != found


def _notes(spec: TopicSpec, found: ExistingTopic) -> list[str]:
    notes = [] if found.configs or found.refused else [_SETTINGS_NOT_REPORTED]
    wanted, size = spec.configs["max.message.bytes"], found.configs.get("max.message.bytes")
    if size is not None and MIN_MESSAGE_BYTES <= int(size) < int(wanted):
        notes.append(
            f"max.message.bytes is {size}: the relay writes no larger record here. "
            f"If the cluster allows more, {wanted} is enough for every record."
        )
    kept = found.configs.get("retention.bytes", "-1")
    if spec.configs["cleanup.policy"] == "delete" and kept != "-1":
        notes.append(f"retention.bytes is {kept}: Kafka may delete records before retention.ms has passed.")
    return notes

"""The rights that each service needs on Kafka, and the command that grants a missing one. Pure."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

from consumer.group_names import PipelineFlow, group_name, replays_group
from relay.kafka.diagnostics.rights import GrantedRights, all_of
from relay.kafka.topics import Topics


class Role(StrEnum):
    """A part of the relay that may have a user of its own on Kafka."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
    OPERATOR = "operator"


Kind = Literal["topic", "group", "transactional-id"]

_PLACEHOLDER = "User:USER"


@dataclass(frozen=True, slots=True)
class Right:
    """One operation on one resource. `prefixed`: on all whose names begin with `name`."""

    kind: Kind
    name: str
    operation: str
    prefixed: bool = False


def required_rights(role: Role, topics: Topics, destinations: Iterable[str]) -> list[Right]:
    """Return the least rights with which a service works; docs/operations/kafka.md explains them.

    `destinations`: names of those that a consumer serves, or whose offsets an operator moves. Read and Write imply Describe.
    """
    match role:
        case Role.PRODUCER:
            return _producer_rights(topics)
        case Role.CONSUMER:
            return _consumer_rights(topics, destinations)
        case Role.OPERATOR:
            return _operator_rights(topics, destinations)


def _producer_rights(topics: Topics) -> list[Right]:
    written = (
        *(topics.progress, topics.events, topics.backfill, topics.dead_letters),
        *(topics.status, topics.replays, topics.schemas),
    )
    return [
        *_on_topics(written, "Read", "Write"),
        *_on_topics((topics.organizations,), "Read"),
        *_on_topics((topics.changes, topics.destinations, topics.seals), "Describe"),
        *_on_topics(topics.all, "DescribeConfigs"),
        Right("group", f"{topics.prefix}.producer", "Read"),
        Right("transactional-id", f"{topics.prefix}.", "Write", prefixed=True),
    ]


def _consumer_rights(topics: Topics, destinations: Iterable[str]) -> list[Right]:
    groups = (
        group
        for name in destinations
        for group in (
            *(group_name(topics.prefix, name, flow) for flow in get_args(PipelineFlow)),
            replays_group(topics.prefix, name),
        )
    )
    return [
        *_on_topics((topics.events, topics.backfill, topics.schemas), "Read"),
        *_on_topics((topics.status, topics.destinations, topics.replays), "Read", "Write"),
        *_on_topics((topics.dead_letters,), "Read", "Write"),
        *_on_topics((topics.changes,), "Write"),
        *_on_topics((topics.organizations, topics.progress, topics.seals), "Describe"),
        *_on_topics(topics.all, "DescribeConfigs"),
        *(Right("group", name, "Read") for name in groups),
    ]


def _operator_rights(topics: Topics, destinations: Iterable[str]) -> list[Right]:
    read = (
        *(topics.organizations, topics.progress, topics.status, topics.schemas, topics.dead_letters),
        *(topics.destinations, topics.replays, topics.events, topics.backfill, topics.changes, topics.seals),
    )
    # A sign-out at a console is a record of the topic of statuses, and a repair writes records that Kafka lacks as dead letters.
    written = (
        *(topics.organizations, topics.status, topics.changes, topics.destinations, topics.replays),
        *(topics.seals, topics.dead_letters),
    )
    # The group of older events says up to where an archive is complete, and the changes what was skipped for it.
    groups = (
        group_name(topics.prefix, name, flow) for name in destinations for flow in get_args(PipelineFlow)
    )
    return [
        *_on_topics(read, "Read"),
        *_on_topics(written, "Write"),
        *_on_topics(topics.all, "DescribeConfigs"),
        *(Right("group", name, "Read") for name in groups),
        Right("group", f"{topics.prefix}.proof", "Read"),
        Right("topic", f"{topics.prefix}.", "Create", prefixed=True),
        Right("transactional-id", f"{topics.organizations}.", "Write", prefixed=True),
        Right("transactional-id", f"{topics.seals}.", "Write", prefixed=True),
    ]


def _on_topics(names: Iterable[str], *operations: str) -> list[Right]:
    return [Right("topic", name, operation) for name in names for operation in operations]


def is_granted(right: Right, rights: GrantedRights) -> bool | None:
    """Return whether the user has this right. None: the broker does not report it.

    Create is needed for missing topics alone.
    """
    match right.kind:
        case "group":
            return rights.groups.get(right.name)
        case "transactional-id":
            return all_of(
                may for name, may in rights.transactional_ids.items() if name.startswith(right.name)
            )
    if right.operation == "Create":
        return all_of(may for name, may in rights.creatable.items() if name.startswith(right.name))
    operations = rights.operations.get(right.name)
    return None if operations is None else right.operation in operations


def describe_missing(rights: Sequence[Right], principal: str | None, bootstrap: str) -> str:
    """Return sentences that name the missing rights of a user and the commands that grant them.

    `principal` None: only the issuer of its token knows the user.
    """
    groups = _alike(rights)
    texts = "; ".join(_describe(group, operations) for group, operations in groups)
    commands = " and ".join(
        f"`{_command(group, operations, principal, bootstrap)}`" for group, operations in groups
    )
    user = principal or "The relay's user"
    return f"{user} lacks {texts}. Run {commands}."


def _alike(rights: Sequence[Right]) -> list[tuple[list[Right], tuple[str, ...]]]:
    """Group resources of one kind that lack the same operations. Each group has one right of each resource."""
    resources: dict[tuple[Kind, str], list[Right]] = {}
    for right in rights:
        resources.setdefault((right.kind, right.name), []).append(right)
    groups: dict[tuple[Kind, bool, tuple[str, ...]], list[Right]] = {}
    for (kind, _name), lacking in resources.items():
        operations = tuple(right.operation for right in lacking)
        groups.setdefault((kind, lacking[0].prefixed, operations), []).append(lacking[0])
    return [(group, operations) for (_kind, _prefixed, operations), group in groups.items()]


def _describe(group: Sequence[Right], operations: Sequence[str]) -> str:
    first = group[0]
    kind = first.kind.replace("-", " ") + ("s" if first.prefixed or len(group) > 1 else "")
    names = ", ".join(right.name for right in group)
    return f"{' and '.join(operations)} on {kind} {'with the prefix ' if first.prefixed else ''}{names}"


def _command(group: Sequence[Right], operations: Sequence[str], principal: str | None, bootstrap: str) -> str:
    first = group[0]
    return " ".join(
        (
            f"kafka-acls.sh --bootstrap-server {bootstrap} --add",
            f"--allow-principal {shlex.quote(principal or _PLACEHOLDER)}",
            *(f"--operation {operation}" for operation in operations),
            *(f"--{first.kind} {right.name}" for right in group),
            *(("--resource-pattern-type prefixed",) if first.prefixed else ()),
        )
    )

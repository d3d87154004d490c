"""The check of the rights on Kafka that the services need."""

from collections.abc import Collection, Iterable

from management.check_results import CheckResult
from management.organizations.store import kafka_errors_as_relay_errors
from management.rights import Right, Role, describe_missing, is_granted, required_rights
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.diagnostics.rights import GrantedRights, principal_of, read_rights
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import Topics


async def check_rights(
    connection: Connection, roles: Collection[Role], destinations: Iterable[str]
) -> list[CheckResult]:
    """Return the result for each role, as the user of this connection. Changes nothing."""
    if not connection.profile.admin:
        message = f"not tested: Kafka's ACLs do not exist with the profile {connection.kafka.profile}"
        return [CheckResult(_subject(role), "unknown", message) for role in roles]
    topics = Topics(connection.kafka.topic_prefix)
    required = {role: required_rights(role, topics, destinations) for role in roles}
    try:
        with kafka_errors_as_relay_errors(connection):
            granted = await _read_granted(
                connection, topics, [right for rights in required.values() for right in rights]
            )
    except RelayError as error:
        return [CheckResult(_subject(role), "failed", str(error)) for role in roles]
    return [_result(role, rights, granted, connection) for role, rights in required.items()]


async def _read_granted(connection: Connection, topics: Topics, required: Iterable[Right]) -> GrantedRights:
    try:
        shards = await read_shard_count(connection)
    except RelayError:  # a topic is missing or hidden, which the result names
        shards = connection.kafka.shards
    needed = list(dict.fromkeys(required))
    groups = [right.name for right in needed if right.kind == "group"]
    prefixes = [right.name for right in needed if right.kind == "transactional-id"]
    ids = [f"{prefix}{number}" for prefix in prefixes for number in range(shards)]
    return await read_rights(connection, topics.all, groups, ids)


def _result(
    role: Role, required: Iterable[Right], granted: GrantedRights, connection: Connection
) -> CheckResult:
    answers = {right: is_granted(right, granted) for right in required}
    principal = principal_of(connection.kafka)
    user = principal or "the relay's user"
    if missing := [right for right, answer in answers.items() if answer is False]:
        return CheckResult(
            _subject(role),
            "failed",
            f"{describe_missing(missing, principal, connection.bootstrap)} If the {role} logs in as another user, check it with"
            f" its settings and `jira-relay check --rights {role}`.",
        )
    if unknown := {right.name for right, answer in answers.items() if answer is None}:
        return CheckResult(
            _subject(role),
            "unknown",
            f"Kafka does not report the rights of {user} on {', '.join(sorted(unknown))}",
        )
    return CheckResult(_subject(role), "ok", f"{user} has all that it needs")


def _subject(role: Role) -> str:
    return f"rights of the {role}"

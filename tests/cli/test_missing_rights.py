"""Commands of a user that lacks a right on Kafka: each ends with the command that names the right."""

import pytest

from management.rights import Right, Role, required_rights
from management.sign_outs import PREFIX, record_sign_out
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from tests.cli.conftest import open_connection
from tests.support.authorizing_kafka import Grant


@pytest.fixture
async def without(command_line, authorizing_kafka, prefix, acme):
    """Return a function that logs in as an operator who lacks one right, after acme was added."""
    administrator = open_connection(authorizing_kafka, prefix)
    await create_missing_topics(administrator)
    # An operator may write statuses, so Read alone is refused, and only where there is a record to read.
    assert await record_sign_out(administrator, f"{PREFIX}one", 2, 1, 60.0) is None
    rights = required_rights(Role.OPERATOR, Topics(prefix), [])

    async def grant(missing):
        await authorizing_kafka.grant_only(
            Grant(right.kind, right.name, right.operation, right.prefixed)
            for right in rights
            if right != missing
        )

    await grant(None)
    command_line.set_environment(
        **{f"RELAY_KAFKA__{name.upper()}": value for name, value in authorizing_kafka.settings().items()}
    )
    await command_line.add(acme, "--backfill-days", "3")
    return grant


@pytest.mark.parametrize(
    ("kind", "name", "operation", "command"),
    [
        ("topic", "organizations", "Read", "organizations list"),
        ("topic", "status", "Read", "organizations list"),
        ("topic", "progress", "Read", "organizations show acme"),
        ("topic", "organizations", "Write", "organizations pause acme"),
        ("topic", "changes", "Write", "organizations pause acme"),
        ("transactional-id", "organizations.", "Write", "organizations pause acme"),
    ],
)
async def test_a_command_names_the_way_to_the_missing_right(
    command_line, without, prefix, kind, name, operation, command
):
    """A command that Kafka refuses changes nothing, and says that `jira-relay check` names the right."""
    await without(Right(kind, f"{prefix}.{name}", operation, prefixed=kind != "topic"))
    refused = await command_line(*command.split(), code=1)

    assert "lacks a right" in refused.err or "not visible to this user" in refused.err
    assert "`jira-relay check" in refused.err
    assert "unknown" not in refused.err

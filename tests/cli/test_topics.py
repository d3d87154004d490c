"""`jira-relay topics`, and commands that only look, on brokers of several kinds."""

from tests.cli.conftest import open_connection
from tests.support.topics import topics_of


async def test_looking_creates_no_topic(command_line, auto_creating_kafka, prefix):
    """On a broker that creates topics by itself, no command that looks makes it create one."""
    command_line.set_environment(RELAY_KAFKA__BOOTSTRAP=auto_creating_kafka.bootstrap)
    for command in ("check", "topics check", "organizations list", "dead-letters list"):
        result = await command_line(*command.split(), code=1)

        assert "jira-relay topics create" in result.output, command
    assert await topics_of(open_connection(auto_creating_kafka, prefix)) == set()

"""`jira-relay topics`, and commands that only look, on brokers of several kinds."""

from relay.kafka.topics import Topics
from simulators.secret_stores.aws import REGION, AwsSimulator
from tests.cli.conftest import open_connection
from tests.support.secret_stores import running
from tests.support.topics import alter_topic, topics_of


async def test_looking_creates_no_topic(command_line, auto_creating_kafka, prefix):
    """On a broker that creates topics by itself, no command that looks makes it create one."""
    command_line.set_environment(RELAY_KAFKA__BOOTSTRAP=auto_creating_kafka.bootstrap)
    for command in ("check", "topics check", "organizations list", "dead-letters list"):
        result = await command_line(*command.split(), code=1)

        assert "jira-relay topics create" in result.output, command
    assert await topics_of(open_connection(auto_creating_kafka, prefix)) == set()


async def test_refused_topics_are_reported(command_line, prefix):
    """`topics create` ends with 1 where Kafka refuses topics, and names the setting that is the reason."""
    command_line.set_environment(
        RELAY_KAFKA__TOPIC_PREFIX=f"{prefix}-more", RELAY_KAFKA__REPLICATION_FACTOR=3
    )
    reports = (await command_line("topics", "create", "--json", code=1)).json

    assert {report["state"] for report in reports} == {"refused"}
    assert all("Set kafka.replication_factor" in report["problems"][0] for report in reports)


async def test_a_setting_that_costs_data_is_reported(command_line, connection, prefix):
    """`topics check` and `check` name the setting, the topic and the command that mends it."""
    topic = Topics(prefix).progress
    await alter_topic(connection, topic, cleanup_policy="delete", max_message_bytes="1048588")

    for command in ("topics check", "check"):
        output = (await command_line(*command.split(), code=1)).output
        assert "cleanup.policy is delete" in output, command
        assert f"--entity-name {topic} --add-config cleanup.policy=compact" in output, command


async def test_a_note_does_not_fail_the_check(command_line, connection, prefix):
    """A size limit that the cluster may have capped is named, and the command ends with 0."""
    topic = Topics(prefix).events
    await alter_topic(connection, topic, retention_ms="-1", max_message_bytes="1048588")
    reports = {report["topic"]: report for report in (await command_line("topics", "check", "--json")).json}

    assert (reports[topic]["state"], reports[topic]["problems"]) == ("correct", [])
    assert "writes no larger record" in reports[topic]["notes"][0]
    assert "writes no larger record" in (await command_line("topics", "check")).out
    assert "writes no larger record" in (await command_line("check")).out


async def test_topics_are_copied_to_another_kafka(command_line, auto_creating_kafka, prefix, acme, tmp_path):
    """Each topic is named with its records; the organizations are there afterwards."""
    await command_line.add(acme)
    other = tmp_path / "other.toml"
    other.write_text(
        f'[kafka]\nbootstrap = "{auto_creating_kafka.bootstrap}"\ntopic_prefix = "{prefix}"\nreplication_factor = 1\n'
    )
    result = await command_line("topics", "copy", "--to", other)

    assert f"{prefix}.organizations: 1 records copied and compared." in result.out
    assert "never start them with the old ones again" in result.out
    command_line.set_environment(RELAY_KAFKA__BOOTSTRAP=auto_creating_kafka.bootstrap)
    assert list(await command_line.list_organizations()) == ["acme"]


async def test_the_embedded_kafka_is_no_place_to_copy_to(command_line_without_kafka, tmp_path):
    """Without an address the file would mean the embedded Kafka of this machine, which is the one that is left."""
    other = tmp_path / "other.toml"
    other.write_text('[kafka]\ntopic_prefix = "p"\n')

    output = (await command_line_without_kafka("topics", "copy", "--to", other, code=2)).output
    assert f"{other}: set kafka.bootstrap" in output


async def test_a_reference_of_the_other_file_is_read_with_the_variables_of_its_store(
    command_line_without_kafka, tmp_path
):
    """Those of the relay do not count for it; without those of AWS it could not sign in."""
    async with running(AwsSimulator()) as aws:
        aws.values["console"] = "a-token-of-twenty-four-characters"
        command_line_without_kafka.set_environment(**aws.environment, AWS_REGION=REGION)
        other = tmp_path / "other.toml"
        other.write_text(
            f'[console]\ntoken_ref = "aws-secrets-manager:console"\n[secret_stores]\naws_endpoint = "{aws.url}"\n'
        )

        output = (await command_line_without_kafka("topics", "copy", "--to", other, code=2)).output
    assert f"{other}: set kafka.bootstrap" in output

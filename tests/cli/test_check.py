"""`jira-relay check`: a result for each connection, with what to fix."""

from dataclasses import replace

import pytest

from cli.context import current_operator
from management.rights import Role, required_rights
from relay.avro.codec import InternalCodec
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.status.model import take_over, to_record
from relay.timestamps import now_ms
from simulators.azure import faults as azure_faults
from simulators.azure.world import AzureWorld
from simulators.jira_cloud import faults as jira_faults
from tests.cli.conftest import open_connection
from tests.support.authorizing_kafka import Grant


@pytest.fixture
async def azure(command_line):
    async with AzureWorld() as azure:
        command_line.set_environment(
            RELAY_DESTINATIONS__SENTINEL__ENDPOINT=azure.endpoint,
            RELAY_DESTINATIONS__SENTINEL__RULE_ID=azure.rule_id,
            RELAY_DESTINATIONS__SENTINEL__CREDENTIAL="managed-identity",
            **azure.environment("managed-identity"),
        )
        yield azure


def reported_subjects(result, word):
    """Return the subjects of the lines that begin with this word."""
    lines = [line for line in result.out.splitlines() if line.startswith(word)]
    return [line.removeprefix(word).strip().partition(":")[0] for line in lines]


async def check_results(command_line, code=0):
    return {one["subject"]: one for one in (await command_line("check", "--json", code=code)).json}


async def test_a_working_system_passes_every_check(command_line, acme, azure):
    """Each working connection has a line, no row is sent, and the exit code is 0."""
    await command_line.add(acme)
    result = await command_line("check")

    assert reported_subjects(result, "ok") == [
        *("settings", "secrets", "Kafka", "topics", "rights of the producer", "rights of the consumer"),
        *("rights of the operator", "schema registry", "seals", "organization acme", "destination sentinel"),
    ]
    assert reported_subjects(result, "FAILED") == []
    assert len(azure.calls) == 2
    assert azure.rows() == []


async def test_a_failure_does_not_stop_the_other_checks(command_line, simulated_jira, acme, azure):
    """A refused key and a destination that refuses are reported, beside an organization that works."""
    await command_line.add(acme)
    await command_line.add(await simulated_jira.add_site("beta"))
    acme.fault(jira_faults.free_plan(), rate=1)
    azure.fault(azure_faults.forbidden(), rate=1)
    found = await check_results(command_line, code=1)

    assert {subject for subject, one in found.items() if not one["ok"]} == {
        "organization acme",
        "destination sentinel",
    }
    assert "Free plan" in found["organization acme"]["message"]
    assert "Monitoring Metrics Publisher" in found["destination sentinel"]["message"]


async def test_a_paused_organization_is_not_tested(command_line, acme):
    """A paused organization sends no request to Jira, since its key may be the reason, and is not called ok."""
    await command_line.add(acme)
    await command_line("organizations", "pause", "acme")
    asked = len(acme.requests())

    found = (await check_results(command_line))["organization acme"]
    assert (found["state"], found["ok"], "paused" in found["message"]) == ("unknown", True, True)
    assert len(acme.requests()) == asked


async def report_of(connection, key, state, reason=None, since_ms_ago=0, valid_ms=60_000):
    """Write the status of an organization or a destination, as a running service does."""
    at = now_ms() - since_ms_ago
    status = replace(take_over(state, at, reason=reason), valid_until=now_ms() + valid_ms)
    async with RecordWriter(connection) as writer:
        value = InternalCodec("status").encode(to_record(status))
        await writer.send(Topics(connection.kafka.topic_prefix).status, key.encode(), value)


async def test_a_destination_that_works_is_no_failure_where_only_the_shell_is_refused(
    command_line, azure, connection
):
    """The report of running consumers decides; the shell's own test is said to be its own, with its user."""
    azure.fault(azure_faults.forbidden(), rate=1)
    refused = (await check_results(command_line, code=1))["destination sentinel"]
    assert f"Tested from this shell, as {current_operator()}." in refused["message"]
    assert "No report of consumers exists yet." in refused["message"]

    await report_of(connection, "destination/sentinel", "active")
    working = (await check_results(command_line))["destination sentinel"]
    assert working["state"] == "ok"
    assert working["message"].startswith("active since 2")
    assert f"From this shell, as {current_operator()}, the test failed: " in working["message"]

    await report_of(connection, "destination/sentinel", "active", valid_ms=-1)
    expired = (await check_results(command_line, code=1))["destination sentinel"]
    assert "The consumers have not reported since 2" in expired["message"]


@pytest.mark.parametrize(
    ("state", "ago_ms", "code"), [("paused", 0, 1), ("waiting", 0, 0), ("waiting", 301_000, 1)]
)
@pytest.mark.usefixtures("azure")
async def test_a_destination_that_consumers_cannot_reach_is_a_failure(
    command_line, connection, state, ago_ms, code
):
    """A pause is a failure, a wait after five minutes, though the shell's own test passes."""
    await report_of(connection, "destination/sentinel", state, "It says no.", ago_ms)
    found = (await check_results(command_line, code=code))["destination sentinel"]

    assert found["message"].startswith(f"{state} since 2")
    assert "the test passed" in found["message"]
    assert ("It says no." in found["message"]) == (code == 1)


async def test_an_organization_that_works_is_no_failure_where_only_the_shell_is_cut_off(
    command_line, acme, connection
):
    """Beside a producer that reads Jira, a shell without the way to it is not a failure; a refused key is one at once."""
    await command_line.add(acme)
    await report_of(connection, "producer/acme", "active")
    await acme.stop()
    cut_off = (await check_results(command_line))["organization acme"]
    assert cut_off["message"].startswith("active since 2")
    assert "From this shell, the test failed: " in cut_off["message"]

    await acme.start()
    acme.rotate_tokens()
    refused = (await check_results(command_line, code=1))["organization acme"]
    assert "refuses user and API key" in refused["message"]


async def test_a_missing_right_is_named_with_its_command(command_line, authorizing_kafka, prefix):
    """`check` names what the user lacks, who the user is, and the command; --rights restricts it to one role."""
    await create_missing_topics(open_connection(authorizing_kafka, prefix))
    rights = required_rights(Role.OPERATOR, Topics(prefix), [])
    await authorizing_kafka.grant_only(
        Grant(right.kind, right.name, right.operation, right.prefixed) for right in rights
    )
    command_line.set_environment(
        **{f"RELAY_KAFKA__{name.upper()}": value for name, value in authorizing_kafka.settings().items()}
    )
    found = await check_results(command_line, code=1)

    # An operator may do all that a consumer without destinations may do.
    assert {subject for subject, one in found.items() if not one["ok"]} == {"rights of the producer"}
    assert (
        f"kafka-acls.sh --bootstrap-server {authorizing_kafka.settings()['bootstrap']} --add --allow-principal User:relay"
        f" --operation Read --group {prefix}.producer`" in found["rights of the producer"]["message"]
    )
    assert "rights of the producer" not in {
        one["subject"] for one in (await command_line("check", "--rights", "operator", "--json")).json
    }


@pytest.mark.usefixtures("azure")
async def test_without_kafka_the_other_checks_run(command_line):
    """An unreachable Kafka fails its own check and those that need it, and the others run."""
    command_line.set_environment(RELAY_KAFKA__BOOTSTRAP="127.0.0.1:1")
    found = await check_results(command_line, code=1)

    assert {subject for subject, one in found.items() if one["ok"]} == {
        *("settings", "secrets", "schema registry", "destination sentinel"),
    }


async def test_missing_topics_are_reported(command_line, prefix):
    """The check of a Kafka without the topics names the command that creates them."""
    command_line.set_environment(RELAY_KAFKA__TOPIC_PREFIX=f"{prefix}-other")
    found = await check_results(command_line, code=1)

    assert "jira-relay topics create" in found["topics"]["message"]
    assert "jira-relay topics create" in found["organizations"]["message"]


async def test_an_invalid_key_file_is_reported(command_line, acme, tmp_path):
    """An invalid key file fails the check of the secrets and of the organizations that need it, and no other."""
    await command_line.add(acme)
    (tmp_path / "secrets.key").write_text("not a key, but hunter2")
    result = await command_line("check", code=1)

    assert reported_subjects(result, "FAILED") == ["secrets", "organization acme"]
    assert "hunter2" not in result.output


async def test_a_registry_is_checked(command_line, real_registry, kafka, prefix):
    """The check of a registry without the schemas names the command that registers them, and passes after it."""
    command_line.set_environment(RELAY_SCHEMA_REGISTRY__URL=real_registry)
    assert (
        "jira-relay schemas register"
        in (await check_results(command_line, code=1))["schema registry"]["message"]
    )
    await create_missing_topics(open_connection(kafka, prefix))

    registered = await command_line("schemas", "register")
    assert [line.partition(" (id")[0] for line in registered.out.splitlines()] == [
        f"{prefix}.events-value: registered",
        f"{prefix}.backfill-value: registered",
    ]
    checked = (await command_line("schemas", "check", "--json")).json
    assert [one["state"] for one in checked] == ["correct"] * 2
    assert (await check_results(command_line))["schema registry"]["ok"]

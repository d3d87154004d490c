"""`jira-relay check`: a result for each connection, with what to fix."""

import pytest

from relay.kafka.topic_admin import create_missing_topics
from simulators.azure import faults as azure_faults
from simulators.azure.world import AzureWorld
from simulators.jira_cloud import faults as jira_faults
from tests.cli.conftest import open_connection


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
        *("settings", "secrets", "Kafka", "topics", "schema registry"),
        *("seals", "organization acme", "destination sentinel"),
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
    """A paused organization sends no request to Jira: its key may be the reason for the pause."""
    await command_line.add(acme)
    await command_line("organizations", "pause", "acme")
    asked = len(acme.requests())

    assert "paused" in (await check_results(command_line))["organization acme"]["message"]
    assert len(acme.requests()) == asked


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


async def test_a_registry_is_checked(command_line, registry, kafka, prefix):
    """The check of a registry without the schemas names the command that registers them, and passes after it."""
    command_line.set_environment(RELAY_SCHEMA_REGISTRY__URL=registry)
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
    assert [one["state"] for one in checked] == ["as it should be"] * 2
    assert (await check_results(command_line))["schema registry"]["ok"]

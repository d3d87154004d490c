"""The relay on a Kafka where each of its users has the documented rights and no other."""

import asyncio
import json
import os
import sys

import pytest

from management.rights import Role, required_rights
from relay.kafka.topics import Topics
from relay.timestamps import day_of, now_ms
from simulators.azure.world import AzureWorld
from simulators.jira_cloud.world import JiraWorld
from tests.support.authorizing_kafka import AuthorizingKafka, Grant
from tests.support.waiting import wait_until

TOPICS = Topics("least")


@pytest.fixture
async def authorizing_kafka(tmp_path):
    async with AuthorizingKafka(tmp_path / "kafka", users=tuple(Role)) as broker:
        await broker.grant_only(
            {
                role: [
                    Grant(right.kind, right.name, right.operation, right.prefixed)
                    for right in required_rights(role, TOPICS, ["sentinel"])
                ]
                for role in Role
            }
        )
        yield broker


class Programs:
    """Runs the program as the user of a role."""

    def __init__(self, kafka, jira, azure, directory):
        self._kafka, self._directory = kafka, directory
        (directory / "secrets.key").write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RELAY_")
        } | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RELAY_KAFKA__TOPIC_PREFIX": TOPICS.prefix,
            "RELAY_KAFKA__SHARDS": "2",
            "RELAY_PRODUCER__GATEWAY_URL": jira.gateway_url,
            "RELAY_PRODUCER__INTERVAL_SECONDS": "1",
            "RELAY_SECRETS__KEY_FILE": str(directory / "secrets.key"),
            "RELAY_PROOF__KEY_FILE": str(directory / "secrets.key"),
            "RELAY_TELEMETRY__LISTEN": "127.0.0.1:0",
            "RELAY_CONSUMER__PROCESSES": "1",
            "RELAY_DESTINATIONS__SENTINEL__ENDPOINT": azure.endpoint,
            "RELAY_DESTINATIONS__SENTINEL__RULE_ID": azure.rule_id,
            "RELAY_DESTINATIONS__SENTINEL__CREDENTIAL": "managed-identity",
            **azure.environment("managed-identity"),
        }

    async def start(self, role, *command, **streams):
        login = {
            f"RELAY_KAFKA__{name.upper()}": str(value) for name, value in self._kafka.settings(role).items()
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", *map(str, command)),
            cwd=self._directory,
            env=self._environment | login,
            **streams,
        )

    async def run(self, role, *command, stdin=b"", codes=(0,)):
        pipe = asyncio.subprocess.PIPE
        process = await self.start(role, *command, stdin=pipe, stdout=pipe, stderr=pipe)
        out, err = await process.communicate(stdin)
        assert process.returncode in codes, (out + err).decode()
        return out.decode()


@pytest.mark.timeout(600)
async def test_the_documented_rights_suffice(authorizing_kafka, tmp_path):
    """Topics are created, an organization is added, and its record becomes a row, each step by the user of its role."""
    async with JiraWorld(seed=1) as jira, AzureWorld() as azure:
        site = await jira.add_site("acme")
        programs = Programs(authorizing_kafka, jira, azure, tmp_path)
        await programs.run(Role.OPERATOR, "topics", "create")
        add = (
            "organizations",
            "add",
            "--url",
            site.url,
            "--user",
            site.user,
            "--api-key-file",
            "-",
            "--name",
            "acme",
        )
        await programs.run(Role.OPERATOR, *add, stdin=site.token.encode())
        services = [
            await programs.start(Role.PRODUCER, "produce"),
            await programs.start(Role.CONSUMER, "consume"),
        ]
        try:
            site.create_project()
            await wait_until(lambda: bool(azure.rows()), seconds=90)
            for change in ("pause", "resume"):
                await programs.run(Role.OPERATOR, "organizations", change, "acme")
            assert authorizing_kafka.denials() == []  # nothing without a right is asked for
            for role in Role:
                rights = (*("--rights", role), "--json")
                results = json.loads(await programs.run(role, "check", *rights, codes=(0, 1)))
                found = {result["subject"]: result for result in results}
                assert found[f"rights of the {role}"]["state"] == "ok", found
            assert found["destination sentinel"]["message"].startswith("active since 2")
            await programs.run(Role.OPERATOR, "organizations", "show", "acme")
            await programs.run(Role.OPERATOR, "dead-letters", "list")
            days = ("--from", day_of(now_ms()))
            [day, *_] = json.loads(
                await programs.run(Role.OPERATOR, "proof", "show", "acme", *days, "--json")
            )
            assert (day["account"]["source"]["failure"], day["state"]) == (None, "provisional")
            assert "0 days of 1 organization." in await programs.run(Role.OPERATOR, "proof", "seal")
            replay = ("replay", "start", "--destination", "sentinel", "--from", "2020-01-01", "--json")
            counted = json.loads(await programs.run(Role.OPERATOR, *replay, "--dry-run"))
            done = json.loads(await programs.run(Role.OPERATOR, *replay, "--yes"))
            assert done["state"] == "done"
            assert done["sent"] >= counted["events"] > 0
        finally:
            for service in services:
                service.terminate()
            codes = [await service.wait() for service in services]
    assert codes == [0, 0]

"""The command line, with or without a Kafka, and simulated Jira sites."""

import asyncio

import pytest

from relay.kafka.topic_admin import create_missing_topics
from simulators.jira_cloud.world import JiraWorld
from tests.support.command_line import logging_restored, run_command
from tests.support.kafka import connection_to

SECRETS_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


class CommandLine:
    """The command line, as an operator uses it. No output may hold an API key that was given."""

    def __init__(self, set_environment):
        self.set_environment = set_environment
        self._given_keys = []

    async def __call__(self, *arguments, key=None, code=0, typed=""):
        stdin_bytes = (typed if key is None else key).encode()
        if key and key.strip():
            self._given_keys.append(key.strip())
        result = await asyncio.to_thread(run_command, [str(argument) for argument in arguments], stdin_bytes)
        assert "Traceback" not in result.output
        assert not [key for key in self._given_keys if key in result.output]
        assert result.code == code, result.output
        return result

    async def add(self, site, *more, key=None, code=0):
        arguments = ("--url", site.url, "--user", site.user, "--api-key-file", "-", "--name", site.name)
        return await self("organizations", "add", *arguments, *more, key=key or site.token, code=code)

    async def list_organizations(self):
        return {one["name"]: one for one in (await self("organizations", "list", "--json")).json}


@pytest.fixture
def set_environment(monkeypatch, tmp_path):
    """Return a function that sets variables. No proxy is set, and the working directory has no settings file."""
    monkeypatch.chdir(tmp_path)
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.lower(), raising=False)

    def set_variables(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return set_variables


@pytest.fixture
async def command_line_without_kafka(set_environment, tmp_path):
    """The command line with a key in secrets, and no Kafka that answers."""
    secrets = tmp_path / "secrets.key"
    secrets.write_text(SECRETS_KEY)
    set_environment(RELAY_KAFKA__BOOTSTRAP="127.0.0.1:1", RELAY_SECRETS__KEY_FILE=secrets)
    with logging_restored():
        yield CommandLine(set_environment)


@pytest.fixture
async def simulated_jira():
    async with JiraWorld(seed=1) as world:
        yield world


@pytest.fixture
async def acme(simulated_jira):
    return await simulated_jira.add_site("acme")


@pytest.fixture
async def beta(simulated_jira):
    return await simulated_jira.add_site("beta")


@pytest.fixture
async def command_line(kafka, prefix, set_environment, simulated_jira, tmp_path):
    """The command line with a Kafka that has the topics, a key in secrets, and the simulated gateway."""
    secrets = tmp_path / "secrets.key"
    secrets.write_text(SECRETS_KEY)
    set_environment(
        RELAY_KAFKA__BOOTSTRAP=kafka.bootstrap,
        RELAY_KAFKA__TOPIC_PREFIX=prefix,
        RELAY_KAFKA__REPLICATION_FACTOR=1,
        RELAY_PRODUCER__GATEWAY_URL=simulated_jira.gateway_url,
        RELAY_SECRETS__KEY_FILE=secrets,
    )
    await create_missing_topics(open_connection(kafka, prefix))
    with logging_restored():
        yield CommandLine(set_environment)


@pytest.fixture
def connection(kafka, prefix):
    return open_connection(kafka, prefix)


def open_connection(kafka, prefix):
    return connection_to(kafka, prefix, shards=2)

"""No secret leaves the relay: easily recognized secrets go through every part, and every output is searched for them."""

import asyncio
import base64
import json
import os
import signal
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from embedded import ports
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from sandbox.child_environment import service_environment
from simulators import faults
from simulators.azure.world import AzureWorld
from simulators.jira_cloud.world import JiraWorld
from tests.support.canary import find_leaks, read_topics
from tests.support.canary_world import (
    KAFKA,
    REGISTRY,
    kafka_settings,
    kafka_with_password,
    relay_environment,
)
from tests.support.command_line import logging_restored
from tests.support.recorded_command_line import RecordedCommandLine

WRONG = "ATATT-wrong-canary=77c0ffee\\and/more+of it"
SECRETS_KEY = base64.b64encode(bytes(range(100, 132))).decode()


@pytest.fixture
def start_command_line(tmp_path, monkeypatch):
    """A function that returns a command line with these variables alone, in a new directory."""
    directory = tmp_path / "relay"
    directory.mkdir()
    (directory / "secrets.key").write_text(SECRETS_KEY)
    monkeypatch.chdir(directory)

    def make(environ):
        for name in set(os.environ) - set(environ):
            monkeypatch.delenv(name)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return RecordedCommandLine(directory, environ)

    with logging_restored():
        yield make


async def wait_until(condition, seconds=120):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.2)


def echo_of_secrets(site):
    """Return an answer that repeats the credentials of a request in every form."""
    sent = base64.b64encode(f"{site.user}:{site.token}".encode()).decode()
    return f"not {site.token} nor {quote(site.token)}, {json.dumps([site.token])} or Basic {sent} " * 3


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.timeout(900)
async def test_no_secret_leaves(tmp_path, real_registry, start_command_line):
    """No output, page, topic, file or process list of the relay has a key, password or token, right or wrong."""
    port = ports.pick_free_port()
    async with (
        kafka_with_password(tmp_path / "kafka") as bootstrap,
        JiraWorld(seed=1) as jira,
        AzureWorld(seed=1) as azure,
    ):
        acme, beta = [await jira.add_site(name) for name in ("acme", "beta")]
        environ = service_environment(os.environ, azure.environment("client-secret"), port)
        environ |= relay_environment(tmp_path / "relay", bootstrap, real_registry, jira, azure)
        talkative = {"PYTHONFAULTHANDLER": "1", "PYTHONASYNCIODEBUG": "1"}
        command_line = start_command_line(environ | talkative | {"RELAY_KEY_BETA": beta.token})
        await set_up(command_line, acme, beta)
        async with command_line.up() as up:
            served = await run_without_faults(jira, azure, port)
            served += await run_with_faults(command_line, acme, beta, port)
            seen = inspect_process(up)
            up.send_signal(signal.SIGABRT)
            assert await asyncio.wait_for(up.wait(), 60) == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in command_line.read_log()
        connection = Connection(KafkaConfig(**kafka_settings(bootstrap)))
        places = {
            "the output": command_line.output.encode(),
            "the pages": served,
            "the list of processes": seen,
            "the topics": await read_topics(connection),
            **{str(path): path.read_bytes() for path in remaining_files(tmp_path)},
        }
        secrets = {
            **{f"key of {site.name}": site.token for site in (acme, beta)},
            **{f"secret {number} of Azure": one for number, one in enumerate(azure.identity.secrets())},
            "Kafka": KAFKA,
            "registry": REGISTRY,
            "wrong key": WRONG,
            "key of secrets": SECRETS_KEY,
        }
    assert {place: found for place, data in places.items() if (found := find_leaks(secrets, data))} == {}
    assert find_leaks(secrets, b"".join(secret.encode() for secret in secrets.values())) == list(secrets)


async def set_up(command_line, acme, beta):
    """Run every command that takes a secret, also with wrong ones, and every command that shows state."""
    await command_line("topics", "create")
    await command_line("schemas", "register")
    options = ("organizations", "add", "--url", acme.url, "--user", acme.user, "--name", "acme")
    acme.fault(faults.respond_with(401, echo_of_secrets(acme), content_type="text/plain"))
    await command_line(*options, "--api-key-file", "-", stdin_text=WRONG, code=1)
    await command_line(*options, "--api-key-file", "-", stdin_text=acme.token)
    by_reference = (
        "--url",
        beta.url,
        "--user",
        beta.user,
        "--name",
        "beta",
        "--api-key-ref",
        "env:RELAY_KEY_BETA",
    )
    await command_line("organizations", "add", *by_reference)
    await command_line("organizations", "test", "acme")
    await command_line("organizations", "modify", "acme", "--interval-seconds", "1", "--json")
    await command_line("organizations", "reseal")
    await command_line.run_process("check", "--json")
    for name, subject, code in (
        ("RELAY_KAFKA__SASL_PASSWORD", "Kafka", 1),
        ("AZURE_CLIENT_SECRET", "sentinel", 1),
        ("RELAY_SECRETS__KEY_FILE", "secrets", 2),
        ("RELAY_KAFKA__BOOTSTRAP", "bootstrap", 2),
    ):
        assert subject in await command_line.run_process("check", code=code, **{name: WRONG})


async def run_without_faults(jira, azure, port):
    """Wait until events of both sites arrive; return the served pages."""

    async def arrived():
        for site in jira.sites.values():
            site.add_record()
        return {row["Organization"] for row in azure.rows()} == {"acme", "beta"}

    await wait_until(arrived)
    return await fetch_pages(port)


async def run_with_faults(command_line, acme, beta, port):
    """Play an unreadable record, a defect with a key in its text, and answers that repeat the credentials."""
    acme.add_record(fields={"created": "no time"})

    async def dead_lettered():
        return b'dead_lettered_total{organization="acme"} 1' in await fetch_pages(port)

    await wait_until(dead_lettered)
    acme.fault(faults.respond_with(403, echo_of_secrets(acme), content_type="text/plain"), rate=1)
    beta.fault(faults.respond_with(403, json.dumps({"errorMessages": [echo_of_secrets(beta)]})), rate=1)

    async def logged():
        log = command_line.read_log()
        return "is forbidden (403: not" in log and "may not read the audit log" in log

    await wait_until(logged)
    (command_line.directory / "break").touch()
    # The change makes the producer poll at once, instead of after its back-off.
    await command_line("organizations", "modify", "acme", "--interval-seconds", "2")

    async def defect():
        return "ValueError: deep inside" in command_line.read_log()

    await wait_until(defect)

    async def both_fail():
        listed = await command_line.read_json("organizations", "list")
        return all("failing" in one["state_in_words"] for one in listed)

    await wait_until(both_fail)
    assert await command_line.read_json("dead-letters", "list")
    for name in ("acme", "beta"):
        await command_line("organizations", "show", name)
        await command_line("organizations", "test", name, code=1)
    return await fetch_pages(port)


async def fetch_pages(port):
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answers = [
            await client.get(f"http://127.0.0.1:{port}/{page}") for page in ("metrics", "healthz", "readyz")
        ]
    return b"\n".join(answer.content for answer in answers)


def inspect_process(process):
    """Return the command line of a process, and check that it writes no core file and has no child."""
    about = Path(f"/proc/{process.pid}")
    limits = {line[:25].strip(): line[25:].split() for line in (about / "limits").read_text().splitlines()}
    assert limits["Max core file size"][:2] == ["0", "0"]
    assert [child for thread in about.glob("task/*/children") for child in thread.read_text().split()] == []
    return (about / "cmdline").read_bytes()


def remaining_files(directory):
    """Return every file except those into which the test wrote secrets."""
    known = {"secrets.key", "server.properties"}
    return [path for path in directory.rglob("*") if path.is_file() and path.name not in known]

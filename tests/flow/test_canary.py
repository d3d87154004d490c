"""Secrets that are easy to recognize go through everything, in fair weather and foul, and are looked for afterwards."""

import asyncio
import base64
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded import EmbeddedKafka, ports
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from sandbox.child_environment import service_environment
from simulators import faults
from simulators.azure.world import AzureWorld
from simulators.jira_cloud.world import JiraWorld
from tests.support.canary import find_leaks, read_topics
from tests.support.command_line import logging_restored, run_command

KAFKA = "kafka-canary/5f1c9e00+a1b2c3d4e5f6"
REGISTRY = "registry-canary&5f1c9e00=0123456789ab"
WRONG = "ATATT-wrong-canary=77c0ffee\\and/more+of it"
SECRETS_KEY = base64.b64encode(bytes(range(100, 132))).decode()

# `jira-relay`, but its next request with a key ends in a defect of which the key is the text once a file `break` is there.
PROGRAM = """
import pathlib, sys
from producer.sources.jira_cloud import client as jira
from cli.app import main

read, broken = jira._read_response, pathlib.Path("break")

async def breaking(client, url, headers, query):
    if broken.exists() and "Authorization" in headers:
        broken.unlink()
        raise ValueError(f"deep inside: {headers}")
    return await read(client, url, headers, query)

jira._read_response = breaking
main(sys.argv[1:])
"""


class RecordedCommandLine:
    """The command line with these variables, and all that it has said."""

    def __init__(self, directory, environ):
        self.directory = directory
        self.environ = environ
        self.output = ""

    async def __call__(self, *arguments, stdin_text="", code=0):
        result = await asyncio.to_thread(run_command, list(arguments), stdin_text.encode())
        return self._record(result.out, result.err, result.code, code)

    async def run_process(self, *arguments, code=0, **environ):
        """In a process of its own, with other variables."""
        pipe = asyncio.subprocess.PIPE
        process = await self._start(arguments, stdout=pipe, stderr=pipe, env=self.environ | environ)
        out, err = await process.communicate()
        return self._record(out.decode(), err.decode(), process.returncode, code)

    @asynccontextmanager
    async def up(self):
        with (self.directory / "up.log").open("wb") as log:
            process = await self._start(["up"], stdout=log, stderr=log, env=self.environ)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _start(self, arguments, **options):
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            cwd=self.directory,
            **options,
        )

    def _record(self, out, err, code, expected):
        self.output += out + err
        assert code == expected, out + err
        return out + err

    async def read_json(self, *arguments):
        return json.loads(await self(*arguments, "--json"))

    def read_log(self):
        return (self.directory / "up.log").read_text()


@pytest.fixture
def start_command_line(tmp_path, monkeypatch):
    """The command line in a directory of its own, without anybody else's variables."""
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


@asynccontextmanager
async def kafka_with_password(directory):
    """A Kafka and the address of its listener at which one has to log in."""
    port, controller, guarded = (ports.pick_free_port() for _ in range(3))
    own = f"PLAINTEXT://127.0.0.1:{port}"
    login = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_relay="{KAFKA}";'
    properties = {
        "listeners": f"{own},CONTROLLER://127.0.0.1:{controller},GUARDED://127.0.0.1:{guarded}",
        "advertised.listeners": f"{own},GUARDED://127.0.0.1:{guarded}",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_PLAINTEXT",
        "listener.name.guarded.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.guarded.plain.sasl.jaas.config": login,
    }
    async with EmbeddedKafka(
        directory, port, heap="384m", flush_each_write=False, extra_properties=properties
    ):
        yield f"127.0.0.1:{guarded}"


def kafka_settings(bootstrap):
    return {
        "bootstrap": bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "relay",
        "sasl_password": KAFKA,
        "replication_factor": 1,
        "shards": 2,
        "group_session_timeout_seconds": 6,
    }


def relay_environment(directory, bootstrap, registry, jira, azure):
    groups = {
        "kafka": kafka_settings(bootstrap),
        "schema_registry": {
            "url": registry,
            "username": "relay",
            "password": REGISTRY,
            "cache_directory": directory / "schemas",
        },
        "producer": {"interval_seconds": 1, "settle_seconds": 0.2, "gateway_url": jira.gateway_url},
        "destinations__sentinel": {
            "endpoint": azure.endpoint,
            "rule_id": azure.rule_id,
            "credential": "client-secret",
        },
        "secrets": {"key_file": directory / "secrets.key"},
        "telemetry": {"log_format": "json", "log_level": "debug"},
    }
    return {
        f"RELAY_{group}__{name}".upper(): str(value)
        for group, values in groups.items()
        for name, value in values.items()
    }


async def wait_until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.2)


def echo_of_secrets(site):
    """What an answer could say that repeats all it was sent, in every form."""
    sent = base64.b64encode(f"{site.user}:{site.token}".encode()).decode()
    return f"not {site.token} nor {quote(site.token)}, {json.dumps([site.token])} or Basic {sent} " * 3


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.timeout(400)
async def test_no_secret_leaves(tmp_path, registry, start_command_line):
    """Keys, passwords and tokens, right ones and wrong ones, stand in nothing that the relay says, writes, serves or leaves behind."""
    port = ports.pick_free_port()
    async with (
        kafka_with_password(tmp_path / "kafka") as bootstrap,
        JiraWorld(seed=1) as jira,
        AzureWorld(seed=1) as azure,
    ):
        acme, beta = [await jira.add_site(name) for name in ("acme", "beta")]
        environ = service_environment(os.environ, azure.environment("client-secret"), port)
        environ |= relay_environment(tmp_path / "relay", bootstrap, registry, jira, azure)
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
            "what was said": command_line.output.encode(),
            "what was served": served,
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
    """Everything that is told a secret, the wrong ones too, and everything that shows what it knows."""
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
    """Events of both arrive; what is served meanwhile."""

    async def arrived():
        for site in jira.sites.values():
            site.add_record()
        return {row["Organization"] for row in azure.rows()} == {"acme", "beta"}

    await wait_until(arrived)
    return await fetch_pages(port)


async def run_with_faults(command_line, acme, beta, port):
    """A record that cannot be read, a defect with a key in its text, and answers that repeat what they were sent."""
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
    await command_line(
        "organizations", "modify", "acme", "--interval-seconds", "2"
    )  # else it rests for a while

    async def defect():
        return "ValueError: deep inside" in command_line.read_log()

    await wait_until(defect)
    assert all(
        "failing" in one["state_in_words"] for one in await command_line.read_json("organizations", "list")
    )
    assert await command_line.read_json("dead-letters", "list")
    for name in ("acme", "beta"):
        await command_line("organizations", "show", name)
        await command_line("organizations", "test", name, code=1)
    return await fetch_pages(port)


async def fetch_pages(port):
    async with httpx.AsyncClient(trust_env=False) as client:
        answers = [
            await client.get(f"http://127.0.0.1:{port}/{page}") for page in ("metrics", "healthz", "readyz")
        ]
    return b"\n".join(answer.content for answer in answers)


def inspect_process(process):
    """What anybody can see of a process; it may leave no core file, and starts nobody who could be given its secrets."""
    about = Path(f"/proc/{process.pid}")
    limits = {line[:25].strip(): line[25:].split() for line in (about / "limits").read_text().splitlines()}
    assert limits["Max core file size"][:2] == ["0", "0"]
    assert [child for thread in about.glob("task/*/children") for child in thread.read_text().split()] == []
    return (about / "cmdline").read_bytes()


def remaining_files(directory):
    """Every file, but those that hold secrets because we have put them there."""
    ours = {"secrets.key", "server.properties"}
    return [path for path in directory.rglob("*") if path.is_file() and path.name not in ours]


@given(st.text(min_size=24, max_size=60), st.binary(max_size=4), st.binary(max_size=4))
def test_a_secret_is_found_in_every_form(secret, before, after):
    """The search finds a secret plain, in JSON, in a URL, and in base64 with anything around it."""
    forms = [
        secret.encode(),
        json.dumps(secret).encode(),
        quote(secret, safe="").encode(),
        base64.b64encode(before + secret.encode() + after),
        base64.urlsafe_b64encode(before + secret.encode() + after),
    ]
    assert [find_leaks({"it": secret}, before + form) for form in forms] == [["it"]] * len(forms)


def test_other_text_is_no_secret():
    """What holds less than a piece of a secret is not taken for one."""
    assert find_leaks({"it": "ATATT-" + "0123456789abcdef" * 2}, b"ATATT-0123, 56789ab, 89abcdef012") == []

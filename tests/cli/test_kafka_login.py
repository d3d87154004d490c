"""The messages of commands and services when Kafka refuses their login."""

import asyncio
import json
import os
import signal
import sys

import httpx
import pytest

from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import create_missing_topics

pytestmark = pytest.mark.timeout(300)

WRONG = "wrong-horse-battery"
END_SECONDS = 240
EXPECTED_MESSAGE = "rejects the user relay or its password"

# The monitor must log in often.
PROGRAM = """
import functools
import sys
from cli.app import main
from cli.commands import run
from relay.kafka.diagnostics.monitor import MonitorTiming
run.monitor = functools.partial(run.monitor, timing=MonitorTiming(check_interval_seconds=0.2))
main(sys.argv[1:])
"""


@pytest.fixture
def secured_command_line(command_line, secure_kafka, prefix):
    """Return a function that sets the login to Kafka over TLS, and returns its settings."""

    def log_in(**changes):
        settings = {**secure_kafka.scram_settings(), "topic_prefix": prefix, **changes}
        command_line.set_environment(
            **{f"RELAY_KAFKA__{name.upper()}": value for name, value in settings.items()}
        )
        return KafkaConfig(**settings)

    return log_in


@pytest.mark.parametrize(
    "command",
    [
        "check",
        "topics check",
        "topics create",
        "produce",
        "consume",
        "organizations list",
        "dead-letters list",
    ],
)
async def test_a_wrong_password_ends_a_command_with_its_cause(command_line, secured_command_line, command):
    """Every command and service with a wrong password ends with 1 and names the cause."""
    command_line.set_environment(
        RELAY_DESTINATIONS__SENTINEL__ENDPOINT="http://127.0.0.1:1",
        RELAY_DESTINATIONS__SENTINEL__RULE_ID="dcr-" + 32 * "0",
        RELAY_TELEMETRY__LISTEN="127.0.0.1:0",
        RELAY_CONSUMER__PROCESSES="1",
    )
    secured_command_line(sasl_password=WRONG)
    code, output = await _run_to_end(command.split())

    assert code == 1, output
    assert EXPECTED_MESSAGE in output
    assert "Traceback" not in output
    assert WRONG not in output


async def _run_to_end(command):
    """Return the exit code and the output. A command takes seconds; on a machine with a load of 30, a minute and more."""
    process = await _start(*command)
    try:
        async with asyncio.timeout(END_SECONDS):
            output, _ = await process.communicate()
    finally:
        await _kill(process)
    return process.returncode, output.decode()


async def _kill(process):
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _start(*command):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, *command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def test_a_running_service_reports_a_password_that_becomes_wrong(
    command_line, secured_command_line, secure_kafka, prefix
):
    """A producer logs that its password is refused and later accepted, keeps running, and stops on SIGTERM."""
    await secure_kafka.set_password(prefix, "the-first-password")
    settings = secured_command_line(sasl_username=prefix, sasl_password="the-first-password", shards=1)
    await create_missing_topics(Connection(settings))
    command_line.set_environment(RELAY_TELEMETRY__LISTEN="127.0.0.1:0")
    process, lines = await _start("produce"), []
    try:
        async with asyncio.timeout(END_SECONDS):
            await _wait_for_text(process, lines, "Telemetry is served.")
            await _wait_until_ready(json.loads(lines[-1])["url"])
            await secure_kafka.set_password(prefix, "the-second-password")
            await _wait_for_text(process, lines, f"rejects the user {prefix}")
            await secure_kafka.set_password(prefix, "the-first-password")
            await _wait_for_text(process, lines, "Kafka accepts connections again")
            process.send_signal(signal.SIGTERM)
            rest, _ = await process.communicate()
    finally:
        await _kill(process)

    whole = "".join(lines) + rest.decode()
    assert process.returncode == 0, whole
    assert "Traceback" not in whole
    assert "first-password" not in whole


async def _wait_until_ready(url):
    async with httpx.AsyncClient(timeout=60) as client:
        while (await client.get(f"{url}/readyz")).status_code != httpx.codes.OK:
            await asyncio.sleep(0.1)


async def _wait_for_text(process, lines, text):
    """Read the output of the process until a line holds this text."""
    while not lines or text not in lines[-1]:
        line = (await process.stdout.readline()).decode()
        assert line, "".join(lines)
        lines.append(line)

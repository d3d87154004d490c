"""The program as a whole: usage, exit codes, documents and interruption."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from cli.app import COMMANDS

PROGRAM = (sys.executable, "-m", "cli")
ROOT = Path(__file__).parents[2]


async def run_program(*arguments, **environment):
    return await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=" ".join)
async def test_every_command_has_help(command_line_without_kafka, command):
    """`--help` of every command needs neither settings nor Kafka."""
    assert "Usage: " in (await command_line_without_kafka(*command, "--help")).out


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("organizations", "fly"),
        ("organizations", "list", "--fly"),
        ("organizations", "add"),
        ("organizations", "show"),
        ("organizations", "add", "--backfill-days", "many"),
        ("topics", "list"),
        ("dead-letters", "list", "--limit", "0"),
        ("consume", "--destination"),
        ("--fly", "check"),
    ],
)
async def test_wrong_usage_ends_with_2(command_line_without_kafka, arguments):
    """Unknown commands, unknown options and missing values end with 2."""
    assert "Error: " in (await command_line_without_kafka(*arguments, code=2)).err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("organizations", "list"), 1),
        (("organizations", "pause", "acme"), 1),
        (
            (
                "organizations",
                "add",
                "--url",
                "ftp://acme",
                "--user",
                "u",
                "--api-key-ref",
                "env:RELAY_KEY_A",
            ),
            2,
        ),
        (("topics", "check"), 1),
        (("dead-letters", "show", "everything"), 2),
        (("--config", "none.toml", "check"), 2),
        (("organizations", "fly"), 2),
        (("up",), 2),
    ],
    ids=str,
)
async def test_an_error_is_a_document_too(command_line_without_kafka, arguments, code):
    """With `--json` an error is a JSON document on standard output, and a sentence on standard error."""
    refused = await command_line_without_kafka(*arguments, "--json", code=code)
    assert set(refused.json) == {"error"}
    assert refused.err


async def test_wrong_settings_end_with_2(command_line_without_kafka, tmp_path):
    """A missing settings file and an unknown setting end every command with 2."""
    missing = await command_line_without_kafka(
        "--config", tmp_path / "none.toml", "organizations", "list", code=2
    )
    assert "none.toml cannot be read" in missing.err
    (tmp_path / "odd.toml").write_text('[kafka]\nbootstraps = "x"\n')
    odd = await command_line_without_kafka("--config", tmp_path / "odd.toml", "check", code=2)
    assert "did you mean kafka.bootstrap?" in odd.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("organizations", "list"),
        ("organizations", "show", "acme"),
        ("organizations", "pause", "acme"),
        ("organizations", "delete", "acme"),
        ("organizations", "test", "acme"),
        ("topics", "check"),
        ("topics", "create"),
        ("dead-letters", "list"),
        ("dead-letters", "show", "0/0"),
    ],
    ids=" ".join,
)
async def test_an_unreachable_kafka_is_one_line(command_line_without_kafka, arguments):
    """Every command prints one line about an unreachable Kafka, and libraries add none."""
    refused = await command_line_without_kafka(*arguments, code=1)
    assert refused.err.startswith("Kafka at 127.0.0.1:1 refuses the connection")
    assert len(refused.output.splitlines()) == 1


async def test_without_a_kafka_the_error_names_up(command_line_without_kafka, monkeypatch, unused_port):
    """When no Kafka is set and no embedded one answers, the error names `jira-relay up`."""
    monkeypatch.delenv("RELAY_KAFKA__BOOTSTRAP")
    command_line_without_kafka.set_environment(RELAY_EMBEDDED__PORT=unused_port)
    assert "jira-relay up" in (await command_line_without_kafka("organizations", "list", code=1)).err
    checked = {
        one["subject"]: one for one in (await command_line_without_kafka("check", "--json", code=1)).json
    }
    assert "start it with `jira-relay up`" in checked["Kafka"]["message"]


async def test_without_a_kafka_the_key_is_that_of_up(command_line_without_kafka, monkeypatch, tmp_path):
    """Without settings the key file of `jira-relay up` encrypts, and a directory without it is refused and not created."""
    monkeypatch.delenv("RELAY_KAFKA__BOOTSTRAP")
    monkeypatch.delenv("RELAY_SECRETS__KEY_FILE")
    command_line_without_kafka.set_environment(RELAY_EMBEDDED__DATA_DIR=tmp_path / "data")
    given = ("--url", "https://acme.atlassian.net", "--user", "u", "--api-key-file", "-")
    assert (
        "embedded.data_dir"
        in (await command_line_without_kafka("organizations", "add", *given, key="k" * 20, code=2)).err
    )
    assert not (tmp_path / "data").exists()


@pytest.fixture
def unused_port(unused_tcp_port_factory):
    return unused_tcp_port_factory()


async def test_topics_are_created_and_checked(command_line, prefix):
    """`topics create` creates missing topics; `topics check` changes nothing, and ends with 1 when one is missing."""
    assert {one["state"] for one in (await command_line("topics", "check", "--json")).json} == {"correct"}
    command_line.set_environment(RELAY_KAFKA__TOPIC_PREFIX=f"{prefix}-more", RELAY_KAFKA__SHARDS=2)
    assert {one["state"] for one in (await command_line("topics", "check", "--json", code=1)).json} == {
        "missing"
    }
    assert "jira-relay topics create" in (await command_line("topics", "check", code=1)).out
    assert f"{prefix}-more.events: created" in (await command_line("topics", "create")).out
    assert (await command_line("topics", "check")).out.count("correct") == 11


async def test_without_a_registry_no_schema_is_registered(command_line_without_kafka):
    """Without a registry both commands of `schemas` succeed, with an empty document."""
    for verb in ("register", "check"):
        assert "single-object encoding" in (await command_line_without_kafka("schemas", verb)).out
        assert (await command_line_without_kafka("schemas", verb, "--json")).json == []


async def test_an_unreachable_registry_is_reported(command_line_without_kafka):
    """The reason is printed for each subject, and the exit code is 1."""
    command_line_without_kafka.set_environment(RELAY_SCHEMA_REGISTRY__URL="http://127.0.0.1:1")
    assert "127.0.0.1:1" in (await command_line_without_kafka("schemas", "register", code=1)).out


@pytest.mark.parametrize("unbuffered", ["1", ""])
async def test_a_closed_pipe_is_not_an_error(command_line, simulated_jira, unbuffered):
    """`jira-relay organizations list --json | head -1` prints no error, buffered or not."""
    for number in range(3):
        await command_line.add(await simulated_jira.add_site(f"site{number}"), "--no-test")
    process = await run_program("organizations", "list", "--json", PYTHONUNBUFFERED=unbuffered)
    process.stdout._transport.close()
    assert await process.stderr.read() == b""
    assert await process.wait() == 1


@pytest.mark.usefixtures("command_line")
async def test_closed_streams_and_a_full_disk_give_no_traceback():
    """Closed standard input means an empty key, closed standard output is accepted, and a full disk is reported."""
    program = " ".join(PROGRAM)
    add = f"{program} organizations add --url https://a.atlassian.net --user u --api-key-file -"
    for line, code, words in (
        (f"{add} <&-", 2, b"empty"),
        (f"{program} organizations list >&-", 0, b""),
        (f"{program} organizations list --json >/dev/full", 1, b"No space left"),
    ):
        process = await asyncio.create_subprocess_shell(
            line, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, err = await process.communicate()
        assert (process.returncode, len(err.splitlines()) <= 1, words in err) == (code, True, True), err


async def test_ctrl_c_ends_without_a_traceback():
    """A command that is interrupted while it waits for Kafka ends with 130 and prints nothing."""
    connected = asyncio.Event()

    async def say_nothing(reader, writer):
        connected.set()
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent:
        process = await run_program("organizations", "list", RELAY_KAFKA__BOOTSTRAP=f"127.0.0.1:{port}")
        await asyncio.wait_for(connected.wait(), 60)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")


async def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback():
    """An interrupt while the modules are loaded shows no traceback."""
    loading = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", "-m", "cli", "check"),
        cwd=ROOT,
        env={**os.environ, "RELAY_KAFKA__BOOTSTRAP": "127.0.0.1:1"},
        stderr=asyncio.subprocess.PIPE,
    )
    while b"typing" not in await asyncio.wait_for(loading.stderr.readline(), 60):
        pass
    loading.send_signal(signal.SIGINT)
    _, err = await loading.communicate()
    assert b"Traceback" not in err
    assert loading.returncode in {-signal.SIGINT, 130}


async def test_names_in_any_script_pass_through(command_line, acme):
    """A name in any script is printed unchanged in tables and documents."""
    await command_line.add(acme, "--name", "Zürich-株式会社", "--no-test")
    listed = await command_line("organizations", "list", "--json")
    assert [one["name"] for one in json.loads(listed.out)] == ["Zürich-株式会社"]
    assert "Zürich-株式会社" in (await command_line("organizations", "list")).out

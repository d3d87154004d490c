"""`jira-relay sandbox` from its start to its verdict, as a process."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from sandbox.destinations.catalogue import PEERS
from simulators.jira_cloud.hostile import make_hostile_record, make_mistyped_record
from simulators.jira_cloud.records import RecordGenerator

FOREIGN_ENVIRONMENT = {
    "RELAY_KAFKA__BOOTSTRAP": "kafka.invalid:9092",
    "RELAY_PRODUCER__INTERVAL_SECONDS": "no number",
    "AZURE_CLIENT_ID": "somebody",
    "HTTP_PROXY": "http://127.0.0.1:9",
}
NAMES = [kind.replace("-", "_") for kind in PEERS]
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
    pytest.mark.timeout(900),
]


class RunningSandbox:
    """A sandbox and the lines that it has printed so far."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self.errors = asyncio.create_task(process.stderr.read())
        self._reader = asyncio.create_task(self._read())

    async def _read(self):
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    async def wait_for_line(self, pattern, seconds=180):
        """Wait for a line that matches; return the match."""
        deadline = time.monotonic() + seconds
        while True:
            for line in self.lines:
                if found := re.search(pattern, line):
                    return found
            assert time.monotonic() < deadline, "\n".join(self.lines)
            assert not self._reader.done(), "\n".join([*self.lines, (await self.errors).decode()])
            await asyncio.sleep(0.05)

    async def wait_for_exit(self, seconds=180):
        """Return the exit code and the text of standard error."""
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
            await self._reader
            return code, (await self.errors).decode()

    @property
    async def directory(self):
        return Path((await self.wait_for_line(r"in (/\S+)$"))[1])


@asynccontextmanager
async def running_sandbox(*arguments):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "sandbox", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **FOREIGN_ENVIRONMENT},
    )
    running = RunningSandbox(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await running.wait_for_exit()


def find_processes(directory):
    """Return the ids of the processes whose command line or working directory names the directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        about = command_line(entry.name)
        with contextlib.suppress(OSError):
            # Root alone can read the working directory of a relay process.
            about += str((entry / "cwd").readlink()).encode()
        if str(directory).encode() in about:
            found.append(int(entry.name))
    return found


def command_line(pid):
    """Return the command line of a process, nothing once it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


async def wait_until_nothing_runs(directory, seconds=60):
    deadline = time.monotonic() + seconds
    while left := find_processes(directory):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.05)


async def test_a_sandbox_plays_its_faults_and_passes():
    """Three faults begin and heal, every record arrives, and neither a process nor a file remains."""
    # The faults begin with the first row at the last destination, and a slow machine needs some seconds for it.
    async with running_sandbox("--destinations", ",".join(PEERS), "--duration", 30) as running:
        directory = await running.directory
        for name in NAMES:
            await running.wait_for_line(rf"Row in {name}: ")
        assert len(find_processes(directory)) >= 3
        code, errors = await running.wait_for_exit(300)
        text = "\n".join(running.lines)
    assert (code, errors) == (0, "")
    for words in ("429", "403", "SIGKILL"):
        assert len(re.findall(rf"FAULT .*{words}", text)) == 1, text
    assert text.count("HEALED") == 3, text
    assert "no request came too early" in text
    assert re.search("".join(f"{name} [1-9]\\d*, " for name in NAMES) + "lag 0$", text, re.MULTILINE), text
    assert re.fullmatch(
        r"PASSED\. \d+ records in Jira: each is in Kafka exactly once and at sentinel, .* and kafka, .*",
        running.lines[-1],
    )
    assert not directory.exists()
    assert find_processes(directory) == []


def generate_hostile_records(count):
    generator = RecordGenerator("hostile")
    makers = (
        make_hostile_record,
        make_mistyped_record,
        lambda generator: {**generator.generate(), "neu": {"a": [1, 2.5, None, "\ud800"]}},
    )
    for number in range(count):
        record = {"id": (7919 * number) % 2**40 + 2**31, **makers[number % 3](generator)}
        day, milliseconds = number % 28 + 1, number % 3
        yield {
            **record,
            "created": f"2026-01-{day:02}T10:00:00.00{milliseconds}{('+0000', '+0530')[number % 2]}",
        }


async def test_a_file_of_hostile_records_arrives_field_by_field(tmp_path):
    """A sandbox with a file in any order ends by itself; with --keep it leaves the rows as files."""
    records = [*generate_hostile_records(60), {"id": 5, "created": "2126-01-01T00:00:00.000+0000"}]
    file = tmp_path / "records.jsonl"
    file.write_text("\n".join(map(json.dumps, reversed(records))))
    async with running_sandbox("--destinations", ",".join(PEERS), "--records", file, "--keep") as running:
        directory = await running.directory
        try:
            code, errors = await running.wait_for_exit(300)
            rows = list(
                map(json.loads, (directory / "sentinel-Jira_Audit_History_CL.jsonl").read_text().splitlines())
            )
        finally:
            shutil.rmtree(directory)
    assert (code, errors) == (0, "")
    assert "Records with a future time: 1." in "\n".join(running.lines)
    assert running.lines[-2].startswith("PASSED. 60 records in Jira: ")
    assert running.lines[-2].endswith(" 1 record in the future did not have to arrive yet.")
    assert running.lines[-1] == f"Logs and rows are kept in {directory}"
    assert {row["EventId"]: row["EventMessage"] for row in rows} == {
        record["id"]: record["summary"] for record in records[:-1]
    }


async def test_nothing_outlives_a_killed_sandbox():
    """Kafka and the services end when SIGKILL ends the sandbox."""
    async with running_sandbox() as running:
        directory = await running.directory
        await running.wait_for_line("Everything is running")
        assert len(find_processes(directory)) >= 3
        running.process.kill()
        await running.process.wait()
        try:
            await wait_until_nothing_runs(directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


async def test_the_death_of_a_service_ends_the_sandbox():
    """The sandbox ends with 1, names the service and the signal, and says how to keep the logs."""
    async with running_sandbox() as running:
        directory = await running.directory
        await running.wait_for_line(r"sentinel [1-9]")
        (consumer,) = (pid for pid in find_processes(directory) if b"\0consume\0" in command_line(pid))
        os.kill(consumer, signal.SIGKILL)
        code, errors = await running.wait_for_exit()
    assert code == 1
    assert errors.splitlines() == [
        "The consumer ended unexpectedly: SIGKILL ended it.",
        "The sandbox has ended; its data and logs were deleted; run with --keep to keep them.",
    ]
    assert not directory.exists()
    await wait_until_nothing_runs(directory)


async def test_an_unusable_records_file_is_refused(tmp_path):
    """A file that is empty, invalid or missing ends the sandbox with one sentence and 2, before it starts anything."""
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": 1}')
    for file, sentence in (
        (empty, f"The records file {empty} has no audit record."),
        (
            bad,
            f"{bad}, line 1: created is missing, not a time with a zone such as 2026-01-18T08:43:02.838+0000.",
        ),
        (tmp_path / "none", f"Cannot read the records file {tmp_path / 'none'}: No such file or directory."),
    ):
        async with running_sandbox("--records", file) as running:
            assert await running.wait_for_exit() == (2, f"{sentence}\n")
            assert running.lines == []


async def overview_of(url, token):
    """Return the overview of a console that may still be starting."""
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(180):
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.get(
                    f"{url}api/v1/overview", headers={"Authorization": f"Bearer {token}"}
                )
                if answer.status_code == httpx.codes.OK:
                    return answer.json()
            await asyncio.sleep(0.2)


async def test_the_command_and_the_console_work_until_a_second_signal():
    """The printed command lists the organizations, and the printed console answers.

    After a first signal the sandbox waits for the last records; a second one ends it with 1, the console too.
    """
    async with running_sandbox() as running:
        directory = await running.directory
        line = (await running.wait_for_line(r"^ +(.* organizations list)$"))[1]
        await running.wait_for_line("Everything is running")
        process = await asyncio.create_subprocess_exec(
            *shlex.split(line), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, errors = await process.communicate()
        console = await running.wait_for_line(r"^Console: (\S+), token: (\S+)$")
        assert (await overview_of(*console.groups()))["failure"] is None
        running.process.send_signal(signal.SIGINT)
        await running.wait_for_line("waiting for the last records to arrive")
        running.process.send_signal(signal.SIGINT)
        code, ending = await running.wait_for_exit()
    assert code == 1
    assert ending.startswith("A second signal stopped the process at once")
    assert not directory.exists()
    await wait_until_nothing_runs(directory)
    assert (process.returncode, errors) == (0, b"")
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(console[1])
    for name in (b"acme", b"globex", b"initech"):
        assert name in out

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from relay.errors import RelayError
from sandbox.processes import ServiceProcess, last_error

UNREACHABLE = ["--config", "relay.toml", "topics", "check"]
SETTINGS = '[kafka]\nbootstrap = "127.0.0.1:9"\n'

PARENT = """
import asyncio, os, sys
from pathlib import Path
from sandbox.processes import ServiceProcess

async def main():
    process = ServiceProcess("child", ["--help"], os.environ, Path(sys.argv[1]))
    await process.start()
    print(process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def is_alive(pid):
    """Return whether a process runs. It may end while its state is read."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.fixture
async def service_process(tmp_path):
    """Not started yet."""
    (tmp_path / "relay.toml").write_text(SETTINGS)
    arguments = ["--config", str(tmp_path / "relay.toml"), *UNREACHABLE[2:]]
    process = ServiceProcess("helper", arguments, os.environ, tmp_path / "helper.log")
    yield process
    await process.kill()


async def test_a_service_waits_for_its_release_and_its_exit_is_reported(service_process):
    """Before its release a service logs nothing; the error about its exit has its last log message."""
    await service_process.start()
    watch = asyncio.create_task(service_process.watch())
    await asyncio.wait({watch}, timeout=0.5)
    assert not watch.done()
    assert service_process.log.read_text() == ""
    service_process.release()
    with pytest.raises(
        RelayError,
        match=r"^The helper ended unexpectedly: exit code 1; its last error: Kafka at 127\.0\.0\.1:9 ",
    ):
        await asyncio.wait_for(watch, 120)


async def test_a_requested_kill_is_no_failure(service_process):
    """After a requested kill and a new start, `watch` goes on, and reports the next unexpected end."""
    await service_process.start()
    first = service_process.pid
    watch = asyncio.create_task(service_process.watch())
    await service_process.kill()
    assert not is_alive(first)
    await service_process.start()
    assert service_process.pid != first
    await asyncio.sleep(0)
    assert not watch.done()
    os.kill(service_process.pid, signal.SIGKILL)
    with pytest.raises(RelayError, match=r"^The helper ended unexpectedly: SIGKILL ended it\.$"):
        await asyncio.wait_for(watch, 60)


async def test_an_unclean_stop_is_reported(service_process):
    """`stop` returns a sentence when SIGTERM ends a process that does not handle it."""
    await service_process.start()
    assert await service_process.stop() == "The helper did not stop cleanly: SIGTERM ended it."


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_no_service_outlives_its_parent(tmp_path):
    """A service ends when SIGKILL ends its parent."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path / "log"), stdout=asyncio.subprocess.PIPE
    )
    pid = int(await parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    await parent.wait()
    await wait_until(lambda: not is_alive(pid))


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", "its log has no error."),
        ('{"level": "info", "message": "All is well."}\n', "its log has no error."),
        (
            '{"level": "error", "message": "Kafka is gone.", "reason": "no answer"}\n\n{"level": "info", "message": "m"}\n',
            "its last error: Kafka is gone. no answer",
        ),
        ('{"level": "error", "message": "first"}\nNo Kafka is set.\n', "its last error: No Kafka is set."),
        ("[1]\n", "its last error: [1]"),
    ],
)
def test_the_last_error_of_a_log_is_found(tmp_path, log, words):
    """It is the last line that is an error of the relay's log or no line of that log."""
    (tmp_path / "log").write_text(log)
    assert last_error(tmp_path / "log") == words

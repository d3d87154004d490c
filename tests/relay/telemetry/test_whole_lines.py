"""Lines of several processes on one pipe."""

import io
import logging
import os
import subprocess
import sys

from relay.telemetry.whole_lines import WholeLines

WRITE = """
import logging, sys
from relay.telemetry.whole_lines import WholeLines
handler = WholeLines(sys.stderr, wait_seconds=200)
for _ in range(20):
    handler.emit(logging.makeLogRecord({"msg": sys.argv[1] * 100_000}))
"""
HOLD = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def program(code, *arguments, **options):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environ, **options)


def test_no_line_is_within_another():
    """Two processes write long lines to one pipe, whose reader takes a little at a time: each line is whole."""
    reading, writing = os.pipe()
    writers = [program(WRITE, letter, stderr=writing) for letter in "ab"]
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=4096) as pipe:
        lines = pipe.read().splitlines()

    assert [writer.wait(240) for writer in writers] == [0, 0]
    assert sorted(lines) == 20 * [100_000 * b"a"] + 20 * [100_000 * b"b"]


def test_a_process_that_keeps_the_lock_silences_no_other(tmp_path):
    """A line is written after the wait for a lock that a frozen process has, and at once where there is no file to lock."""
    record = logging.makeLogRecord({"msg": "line"})
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        file = stream.fileno()
        holder = program(
            HOLD, str(file), stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[file], text=True
        )
        assert holder.stdout.readline() == "locked\n"
        WholeLines(stream, wait_seconds=0.01).emit(record)
        holder.communicate()
    memory = io.StringIO()
    WholeLines(memory).emit(record)

    assert (tmp_path / "log").read_text("utf-8") == memory.getvalue() == "line\n"

"""Processes of a service for tests: `python -m tests.support.child_program child WAY LINK`, or `parent`, which starts a child.

A child tells the level of its log as a problem, and has counted two things. WAY: `well`, `badly` (it ends with 3), or `silent`.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from relay.child_process import ChildProcess, ChildTiming
from relay.credentials.redaction import Redactor
from relay.parent_process import follow_parent
from relay.telemetry.health import Health
from relay.telemetry.logs import configure_logging, current_log_level


class LevelAsProblem(Health):
    def problems(self) -> list[str]:
        return [f"log level {current_log_level()}"]


def child(way: str, timing: ChildTiming | None = None) -> ChildProcess:
    """Start a child."""
    command = (sys.executable, "-m", "tests.support.child_program", "child", way)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return ChildProcess(2, command, environ, timing or ChildTiming())


async def _follow(way: str, link: socket.socket) -> None:
    registry, stop = CollectorRegistry(), asyncio.Event()
    Counter("things", "Things.", registry=registry).inc(2)
    if way == "silent":
        await asyncio.sleep(600)
    async with follow_parent(link, stop, LevelAsProblem(), registry):
        await stop.wait()
    os.write(1, b"stopped\n")
    if way == "badly":
        sys.exit(3)


async def _work() -> None:
    worker = child("well")
    asyncio.get_running_loop().call_later(600, sys.exit)
    health = Health()
    watching = asyncio.create_task(worker.run(asyncio.Event(), health))
    while "still starting" in str(health.problems()):
        await asyncio.sleep(0.02)
    os.write(1, b"started\n")
    await watching


def main(arguments: Sequence[str]) -> None:
    configure_logging("json", "info", Redactor())
    if arguments[0] == "parent":
        asyncio.run(_work())
    else:
        asyncio.run(_follow(arguments[1], socket.socket(fileno=int(arguments[2]))))


if __name__ == "__main__":
    main(sys.argv[1:])

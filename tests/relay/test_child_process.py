"""Child processes of a service, as real processes."""

import asyncio
import contextlib
import logging
import os
import signal
import sys

import pytest

from relay.child_process import ChildTiming
from relay.errors import RelayError
from relay.telemetry.health import Health
from relay.telemetry.logs import set_log_level
from tests.support.child_program import child
from tests.support.command_line import logging_restored
from tests.support.waiting import wait_until


@contextlib.asynccontextmanager
async def watched(way, timing=None):
    """Yield a child with the task that watches it, the event that stops it, and the health of its parent."""
    started, health, stop = child(way, timing), Health(), asyncio.Event()
    task = asyncio.create_task(started.run(stop, health))
    try:
        yield started, task, stop, health
    finally:
        task.cancel()
        await asyncio.wait({task})


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_reports_to_its_parent_and_stops_with_it(capfd):
    """The parent has the child's problems and metrics; the child has the level of the parent's log, and stops when asked."""
    with logging_restored():
        set_log_level("warning")
        async with watched("well") as (started, task, stop, health):
            assert (await wait_for_problem(health, "log level warning")) == ["process 2: log level warning"]
            set_log_level("debug")
            logging.getLogger("asyncio").setLevel(logging.WARNING)
            await wait_for_problem(health, "log level debug")
            assert [(each.name, each.samples[0].value) for each in await started.metrics()] == [("things", 2)]

            stop.set()
            await asyncio.wait_for(task, 120)

    assert capfd.readouterr().out == "stopped\n"
    assert not is_running(started.pid)


async def wait_for_problem(health, text):
    await wait_until(lambda: text in str(health.problems()))
    return health.problems()


async def test_a_child_that_is_killed_ends_its_service():
    """The error names the process and its end; the last known metrics stay."""
    async with watched("well") as (started, task, _, health):
        await wait_for_problem(health, "log level")
        known = await started.metrics()
        os.kill(started.pid, signal.SIGKILL)

        with pytest.raises(
            RelayError, match=rf"Process 2 \(pid {started.pid}\) ended unasked, with signal SIGKILL"
        ):
            await asyncio.wait_for(task, 120)

    assert known


async def test_a_child_that_stops_badly_fails_the_stop():
    """An exit code other than 0 is an error of the service, though the stop was asked for."""
    async with watched("badly") as (_, task, stop, health):
        await wait_for_problem(health, "log level")
        stop.set()

        with pytest.raises(RelayError, match="did not stop well: exit code 3"):
            await asyncio.wait_for(task, 120)


async def test_a_child_that_is_stopped_while_it_loads_stops_well():
    """A manager of services sends SIGTERM to each process, also to one that does not handle it yet."""
    async with watched("silent") as (started, task, stop, _):
        stop.set()
        os.kill(started.pid, signal.SIGTERM)

        await asyncio.wait_for(task, 120)

    assert not is_running(started.pid)


async def test_a_silent_child_is_a_problem_and_then_the_end():
    """A child that does not answer makes the service not ready; after some questions it is killed, and the service ends."""
    timing = ChildTiming(answer_seconds=0.02, metrics_seconds=0.02, start_answers=4)
    async with watched("silent", timing) as (started, task, _, health):
        await wait_for_problem(health, "process 2: it has not answered for 0.")
        assert await started.metrics() == []

        with pytest.raises(RelayError, match=r"has not answered for 0\.08 s and was killed"):
            await asyncio.wait_for(task, 120)

        assert not is_running(started.pid)


async def test_a_child_that_froze_has_less_patience_than_one_that_starts():
    """Once it has answered, it has no program to load any more."""
    timing = ChildTiming(answer_seconds=1.0, start_answers=120, silent_answers=2)
    async with watched("well", timing) as (started, task, _, health):
        await wait_for_problem(health, "log level")
        os.kill(started.pid, signal.SIGSTOP)

        with pytest.raises(RelayError, match="has not answered for 2 s and was killed"):
            await asyncio.wait_for(task, 60)

        assert not is_running(started.pid)


async def test_a_cancelled_watch_leaves_no_child():
    """A service that is cancelled, as after a second signal, kills the child."""
    async with watched("silent") as (started, _, _, health):
        await wait_for_problem(health, "still starting")

    assert not is_running(started.pid)


async def test_a_child_stops_when_its_parent_is_killed():
    """The end of the parent, even by SIGKILL, stops the child in its usual way."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.child_program", "parent"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert await parent.stdout.readline() == b"started\n"
    parent.kill()

    rest = await asyncio.wait_for(parent.stdout.read(), 120)  # both processes have it open

    assert rest == b"stopped\n"
    await parent.wait()

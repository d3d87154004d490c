import asyncio
import contextlib
import sys
import threading

import pytest

from relay.aio import run_unless_stopped
from relay.errors import RelayError
from relay.lifecycle import run_services
from relay.telemetry.logs import is_logged


async def obedient(stop):
    await stop.wait()


PRIVATE = """
import ctypes, resource, sys
from relay.private_memory import keep_memory_private

keep_memory_private()
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if sys.platform == "linux" else 0
print(resource.getrlimit(resource.RLIMIT_CORE), dumpable)
"""


async def test_memory_is_not_dumped():
    """Whatever the limit was, no core file is written, and the limit cannot be raised again."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PRIVATE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out == b"(0, 0) 0\n"


async def test_services_run_until_asked_to_stop():
    """All services run until stop is set, and each may clean up."""
    stop, ended = asyncio.Event(), []

    async def service(stop):
        await stop.wait()
        await asyncio.sleep(0)
        ended.append(1)

    running = asyncio.create_task(run_services({"one": service, "two": service}, stop))
    await asyncio.sleep(0)
    assert not running.done()
    stop.set()
    await running

    assert ended == [1, 1]


@pytest.mark.parametrize("error", [RelayError("Kafka is gone."), ValueError("a defect")])
async def test_failure_of_one_stops_the_others_and_is_raised(error):
    """When one service fails, the others are asked to stop, and its error is raised unchanged."""
    ended = []

    async def dying(_stop):
        raise error

    async def other(stop):
        await stop.wait()
        ended.append("other")

    with pytest.raises(type(error)) as caught:
        await run_services({"dying": dying, "other": other}, asyncio.Event())

    assert caught.value is error
    assert is_logged(error)
    assert ended == ["other"]


async def test_failure_that_is_no_exception_is_raised_too():
    """A panic of a library, which is a BaseException, is a failure too."""

    class Panic(BaseException):
        pass

    async def dying(_stop):
        raise Panic

    with pytest.raises(Panic):
        await run_services({"dying": dying, "other": obedient}, asyncio.Event())


async def test_service_that_ends_unasked_is_an_error():
    """A service that returns unasked, or is cancelled inside a library, has failed."""

    async def leaving(_stop):
        return

    async def cancelled(_stop):
        raise asyncio.CancelledError

    with pytest.raises(RelayError, match="The service consumer ended"):
        await run_services({"consumer": leaving, "other": obedient}, asyncio.Event())
    with pytest.raises(RelayError, match="The service consumer was cancelled from inside a library"):
        await run_services({"consumer": cancelled, "other": obedient}, asyncio.Event())


async def test_failure_while_stopping_is_raised():
    """An error during the clean-up is not lost."""
    stop = asyncio.Event()
    stop.set()

    async def clumsy(stop):
        await stop.wait()
        raise RelayError("The last commit failed.")

    with pytest.raises(RelayError, match="last commit"):
        await run_services({"clumsy": clumsy, "other": obedient}, stop)


async def test_stopping_has_a_bound():
    """A service that does not stop in time is cancelled and named; one that stopped is not."""
    stop = asyncio.Event()
    stop.set()

    async def deaf(_stop):
        await asyncio.Event().wait()

    with pytest.raises(RelayError, match=r"within 0\.05 s .*: deaf\.") as caught:
        await run_services({"deaf": deaf, "other": obedient}, stop, stopping_seconds=0.05)

    assert "other" not in str(caught.value)


async def test_process_is_aborted_when_a_task_cannot_be_cancelled():
    """A service that survives every cancellation does not keep the process alive."""
    stop, end, aborted = asyncio.Event(), asyncio.Event(), threading.Event()
    stop.set()

    async def immortal(_stop):
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue

    try:
        with pytest.raises(RelayError, match="immortal"):
            await run_services(
                {"immortal": immortal}, stop, stopping_seconds=0.02, cancel_seconds=0.02, abort=aborted.set
            )
        assert await asyncio.to_thread(aborted.wait, 60)
    finally:
        end.set()


async def test_work_that_swallows_a_cancellation_is_ended():
    """Some calls of asyncio and aiokafka swallow a cancellation when they complete at that moment."""
    stop, ended = asyncio.Event(), []

    async def work():
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            await asyncio.sleep(60)
        finally:
            ended.append("work")

    asyncio.get_running_loop().call_later(0.05, stop.set)
    async with asyncio.timeout(30):
        assert await run_unless_stopped(stop, work(), cancel_seconds=0.05) is None
    assert ended == ["work"]


async def test_cancelling_the_whole_ends_all_services():
    """A cancelled `run_services` leaves no service running."""
    ended, begun = [], asyncio.Semaphore(0)

    async def service(_stop):
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    running = asyncio.create_task(run_services({"one": service, "two": service}, asyncio.Event()))
    for _ in range(2):
        await begun.acquire()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert ended == [1, 1]

"""Wait for tasks and signals within a process.
Every wait ends, no wake-up is lost, no task outlives its owner unnoticed.
"""

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from typing import Any, TypeVar

CANCEL_ATTEMPTS, CANCEL_SECONDS = 3, 2.0

T = TypeVar("T")


class Signal:
    """Wake all current waiters at once. A later waiter waits for the next signal."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wake all current waiters."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the next `notify`.

        Check the condition and call this without an await between the two: then no wake-up is lost.
        """
        await self._event.wait()


async def supervise(stop: asyncio.Event, tasks: Collection[asyncio.Task[Any]]) -> None:
    """Return when `stop` is set, or raise the error that ended a task. Cancels none of the tasks."""
    stopping = asyncio.create_task(stop.wait(), name="wait for the stop")
    try:
        done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()
    finally:
        stopping.cancel()


async def run_unless_stopped(
    stop: asyncio.Event, work: Coroutine[Any, Any, T], *, cancel_seconds: float = CANCEL_SECONDS
) -> T | None:
    """Return the result of `work`, or None if `stop` was set first; `work` is cancelled then."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        await cancel_all((task, stopping), seconds=cancel_seconds)


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, which a cancellation does not stop: it is raised after the work has ended.

    For two steps of which one must not stay without the other. `work` must end by itself.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # the cancellation is raised; the error needs no log line
        raise


async def cancel_all(
    tasks: Iterable[asyncio.Task[Any]],
    *,
    attempts: int = CANCEL_ATTEMPTS,
    seconds: float = CANCEL_SECONDS,
) -> set[asyncio.Task[Any]]:
    """Cancel tasks and wait until they end. Return those that still run after `attempts` times `seconds`.

    One cancellation may not be enough: aiokafka and asyncio.wait_for swallow it at times.
    """
    pending = {task for task in tasks if not task.done()}
    for _ in range(attempts):
        if not pending:
            break
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=seconds)
    return pending


def cancellation_requested() -> bool:
    """Return whether somebody cancelled the running task.

    If nobody did, its CancelledError came from inside a library and is an error like others: aiokafka raises it
    when Kafka ends.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0

"""How a process of ours runs, and how it ends: every wait here has an end, and no task dies unheard."""

import asyncio
import contextlib
import ctypes
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import structlog

from relay.aio import CANCEL_SECONDS, cancel_all, cancellation_requested
from relay.errors import RelayError

Service = Callable[[asyncio.Event], Awaitable[None]]
"""Works until the event is set, then puts its things away and returns."""

T = TypeVar("T")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_DUMPABLE = 4
_log = structlog.get_logger()


def keep_memory_private() -> None:
    """From now on no crash of this process writes its memory, in which there are keys, to a file.

    The limit holds for what it starts, too. As some systems hand a dump to a program whatever the limit is, Linux is also told
    that this process is not to be dumped; then other processes of the same user can read neither its memory nor its variables.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """The event that asks this process to stop, set by SIGTERM or SIGINT, and an ear for errors that nobody awaits.

    A second signal cancels the task that entered here, which leaves with a RelayError.
    """
    loop, task, stop, signals = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event(), [0]

    def on_signal(number: int) -> None:
        signals[0] += 1
        _log.info("Stopping.", signal=signal.Signals(number).name, at_once=signals[0] > 1)
        stop.set()
        if signals[0] > 1 and task is not None:
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    before = loop.get_exception_handler()
    loop.set_exception_handler(_on_loop_error)
    try:
        yield stop
    except asyncio.CancelledError:
        if signals[0] < 2 or task is None:
            raise
        task.uncancel()
        raise RelayError(
            "Stopped at once by a second signal: what was not put away is found again at the next start."
        ) from None
    finally:
        loop.set_exception_handler(before)
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def run_services(
    services: Mapping[str, Service],
    stop: asyncio.Event,
    *,
    stopping_seconds: float = 30.0,
    cancel_seconds: float = CANCEL_SECONDS,
    abort: Callable[[], None] = lambda: os._exit(1),
) -> None:
    """Run services by name until `stop` is set or one of them ends, and then end them all.

    Returns when all were asked to stop and did. Else raises what the first to fail raised, or a RelayError naming those that
    ended unasked, or did not stop within `stopping_seconds` and were cancelled. If not even that ends one, `abort` is
    called some seconds later, from a thread, whatever the loop is waiting for.
    """
    failures: list[BaseException] = []
    tasks = [
        asyncio.create_task(_run_service(name, service, stop, failures), name=name)
        for name, service in services.items()
    ]
    try:
        await stop.wait()
        await asyncio.wait(tasks, timeout=stopping_seconds)
        unfinished = sorted(task.get_name() for task in tasks if not task.done())
    finally:
        await _cancel_or_abort(tasks, cancel_seconds, abort)
    if failures:
        raise failures[0]
    if unfinished:
        raise RelayError(
            f"Did not stop within {stopping_seconds:g} s and had to be cut off: {', '.join(unfinished)}."
        )


async def _run_service(
    name: str, service: Service, stop: asyncio.Event, failures: list[BaseException]
) -> None:
    try:
        await service(stop)
        if not stop.is_set():
            raise RelayError(f"The {name} ended, though nobody had asked it to.")
    except asyncio.CancelledError:
        if cancellation_requested():
            raise
        failures.append(RelayError(f"The {name} was cancelled from within."))  # aiokafka's stop() does that
    except RelayError as error:
        _log.error("A service failed; the others are stopped.", service=name, reason=str(error))
        failures.append(error)
    except BaseException as error:  # noqa: BLE001 - a panic in polars is no Exception
        _log.exception("A service failed; the others are stopped.", service=name)
        failures.append(error)
    finally:
        stop.set()


async def _cancel_or_abort(
    tasks: Collection[asyncio.Task[None]], cancel_seconds: float, abort: Callable[[], None]
) -> None:
    if await cancel_all(tasks, seconds=cancel_seconds):
        timer = threading.Timer(cancel_seconds, abort)
        timer.daemon = True
        timer.start()


def _on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Through the logger whose storms are calmed."""
    error, logger = context.get("exception"), logging.getLogger("asyncio")
    if error is None:
        logger.warning("%s", context["message"])
    elif type(error).__module__.startswith(
        "aiokafka"
    ):  # of a client that was thrown away, after its doubt was dealt with
        logger.warning("A request to Kafka failed after nobody waited for it any more: %r", error)
    else:
        logger.error("%s", context["message"], exc_info=error)

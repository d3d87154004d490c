"""Run a process and end it: every wait has a bound, and no task ends unnoticed."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import structlog

from relay.aio import CANCEL_SECONDS, cancel_all, cancellation_requested
from relay.errors import RelayError
from relay.name_resolution import bounded_lookups
from relay.telemetry.logs import mark_logged

Service = Callable[[asyncio.Event], Awaitable[None]]
"""A coroutine that works until the event is set, then closes its connections and returns."""

T = TypeVar("T")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = structlog.get_logger()


@contextlib.contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM and SIGINT set. Errors that no task awaits are logged meanwhile.

    A second signal cancels the calling task, which leaves with a RelayError.
    """
    loop, task, stop, signals = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event(), [0]

    def on_signal(number: int) -> None:
        signals[0] += 1
        _log.info("Stop requested.", signal=signal.Signals(number).name, at_once=signals[0] > 1)
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
            "A second signal stopped the process at once. Nothing is lost: the next start resumes from Kafka."
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
    """Run services by name until `stop` is set or one of them ends, then end them all.

    Returns when all services stopped on request.
    Raises the error of the first service that failed, or RelayError with the names of services that ended unasked,
    or that did not stop within `stopping_seconds` and were cancelled.
    If a task survives its cancellation, a thread calls `abort` after `cancel_seconds`, even if the event loop is
    blocked.
    Host names are looked up apart from all other work meanwhile, see `bounded_lookups`.
    """
    with bounded_lookups():
        await _run_services(services, stop, stopping_seconds, cancel_seconds, abort)


async def _run_services(
    services: Mapping[str, Service],
    stop: asyncio.Event,
    stopping_seconds: float,
    cancel_seconds: float,
    abort: Callable[[], None],
) -> None:
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
            f"Services did not stop within {stopping_seconds:g} s and were cancelled: "
            f"{', '.join(unfinished)}. If this repeats, see the log for the cause."
        )


async def _run_service(
    name: str, service: Service, stop: asyncio.Event, failures: list[BaseException]
) -> None:
    try:
        await service(stop)
        if not stop.is_set():
            raise RelayError(f"The service {name} ended without being asked to. See the log for the cause.")
    except asyncio.CancelledError:
        if cancellation_requested():
            raise
        # aiokafka's stop() raises CancelledError though nobody cancelled the task.
        failures.append(
            RelayError(f"The service {name} was cancelled from inside a library. See the log for the cause.")
        )
    except RelayError as error:
        _log.error("A service failed; the others were asked to stop.", service=name, reason=str(error))
        mark_logged(error)
        failures.append(error)
    except BaseException as error:  # noqa: BLE001 - a panic in polars is not an Exception
        _log.exception(
            "A service failed because of a defect in the relay; the others were stopped.", service=name
        )
        mark_logged(error)
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
    """Log an error that no task awaits, through the loggers whose rate is limited."""
    error, logger = context.get("exception"), logging.getLogger("asyncio")
    if error is None:
        logger.warning("%s", context["message"])
    elif type(error).__module__.startswith("aiokafka"):
        # The client was discarded, and its owner has handled the failure already.
        logger.debug("A request of a discarded Kafka client failed: %r", error)
    else:
        logger.error("%s", context["message"], exc_info=error)

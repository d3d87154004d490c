"""A signal that switches the log of a running service to debug, and back."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import structlog

from relay.telemetry.logs import LogLevel, set_log_level

_log = structlog.get_logger(__name__)


class DebugSwitch:
    """Switches between the level of the settings and `debug`; if that is `debug` itself, between it and `info`."""

    def __init__(self, configured: LogLevel) -> None:
        self._levels: tuple[LogLevel, LogLevel] = (configured, "info" if configured == "debug" else "debug")
        self._switched = False

    def switch(self) -> None:
        """Switch, and log it while the lines of `debug` are written."""
        self._switched = not self._switched
        level = self._levels[self._switched]
        set_log_level("debug")
        _log.info("Log level switched by a signal.", log_level=level)
        set_log_level(level)


@contextlib.contextmanager
def debug_on_signal(configured: LogLevel) -> Iterator[None]:
    """Switch the level at each SIGUSR1 while the block runs. `configured`: the level of the settings."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, DebugSwitch(configured).switch)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)

"""Lines of libraries: which of them an operator has to see, and how often."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# After Kafka is killed, aiokafka logs 60 to 270 lines a second, and asyncio logs the futures that aiokafka left.
_RATE_LIMITED_LOGGERS = ("aiokafka", "asyncio")
_MAX_KINDS = 1000

# The beginnings of aiokafka 0.14's warnings and errors about faults that it repeats by itself.
_TRANSIENT_MESSAGES = (
    "Error sending %s to node",
    "Failed fetch",
    "Heartbeat failed",
    "Heartbeat send request failed",
    "Heartbeat session expired",
    "LeaveGroup request failed",
    "Marking the coordinator dead",
    "OffsetCommit failed before join",
    "OffsetCommit failed for group",
    "Topic %s is not available during auto-create",
    "Topic %s not found in cluster metadata",
    "Unable connect to",
    "Unable to request metadata",
    "Unable to update metadata",
)


class ThirdPartyFilter(logging.Filter):
    """Lowers aiokafka's lines about transient faults to debug, and limits the rate of the others.

    At the first start of a cluster aiokafka logs errors while topics and coordinators come up, and later at every restart
    of a broker. It repeats those requests. A fault that lasts is logged by the relay's own code, which waits for it: the
    group membership, the shard, the monitor of the connection.
    """

    def __init__(self, level: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`level`: the lowest one that is written."""
        super().__init__()
        self._limiter, self._clock = LogRateLimiter(), clock
        self.level = level

    def filter(self, record: logging.LogRecord) -> bool:
        library = record.name.partition(".")[0]
        if library not in _RATE_LIMITED_LOGGERS:
            return True
        if library == "aiokafka" and _is_transient(record):
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return record.levelno >= self.level and self._admit(record)

    def _admit(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[0] if record.exc_info else None
        suppressed = self._limiter.admit((record.pathname, record.lineno, error), self._clock())
        if suppressed:
            record.msg, record.args = (
                f"{record.getMessage()} (and {suppressed} similar lines were suppressed)",
                None,
            )
        return suppressed is not None


def _is_transient(record: logging.LogRecord) -> bool:
    """Return whether a line is about an error that Kafka calls retriable, as value or traceback, or begins like one."""
    if record.exc_info is not None:
        return _is_retriable(record.exc_info[1])
    values = record.args if isinstance(record.args, tuple) else ()
    return any(map(_is_retriable, values)) or str(record.msg).startswith(_TRANSIENT_MESSAGES)


def _is_retriable(value: object) -> bool:
    return getattr(value, "retriable", False) is True


@dataclass(slots=True)
class _Window:
    started_at: float
    admitted: int = 0
    suppressed: int = 0


class LogRateLimiter:
    """Admit `burst` lines of each kind in `per_seconds`, and count the others."""

    def __init__(self, burst: int = 5, per_seconds: float = 60.0) -> None:
        self._burst, self._per_seconds = burst, per_seconds
        self._windows: dict[Any, _Window] = {}

    def admit(self, kind: Any, now: float) -> int | None:
        """Return how many lines of this kind were suppressed since the last admitted one. None: suppress this line."""
        window = self._windows.get(kind)
        if window is None or now - window.started_at >= self._per_seconds:
            if len(self._windows) >= _MAX_KINDS:
                self._windows.clear()
            self._windows[kind] = _Window(now, admitted=1)
            return window.suppressed if window else 0
        if window.admitted < self._burst:
            window.admitted += 1
            return 0
        window.suppressed += 1
        return None

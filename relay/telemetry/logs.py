"""Write the log lines of structlog and of all libraries in one form, to standard error."""

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from relay.credentials.redaction import Redactor

# At INFO, httpx logs every URL, azure and msal every step of a login, and aiokafka lines for its own developers.
_QUIETED_LOGGERS = ("aiohttp.access", "aiokafka", "azure", "httpcore", "httpx", "msal", "urllib3")
# After Kafka is killed, aiokafka logs 60 to 270 lines a second, and asyncio logs the futures that aiokafka left.
_RATE_LIMITED_LOGGERS = ("aiokafka", "asyncio")
_MAX_KINDS = 1000


def configure_logging(
    log_format: Literal["json", "text", "auto"],
    log_level: Literal["debug", "info", "warning", "error"],
    redactor: Redactor,
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to `stream` (None: standard error), and nowhere else.

    The entry point calls this once. No line shows local variables, or a secret that the redactor knows.
    """
    stream = sys.stderr if stream is None else stream
    text = log_format == "text" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(_text_processors(stream) if text else _json_processors(), redactor))
    handler.addFilter(_RateLimitFilter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(log_level.upper())
    for name in _QUIETED_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    structlog.configure(
        processors=[*_common_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.root.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the error that ends the process; Python would print its text with any secret in it."""
    logging.root.critical(
        "A defect of jira-relay ended the process. Please report it.", exc_info=(kind, error, trace)
    )


def _common_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
    ]


def _json_processors() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,  # Python's own traceback: no locals
        _order_fields,
        structlog.processors.JSONRenderer(serializer=json.dumps, default=repr),
    ]


def _text_processors(stream: TextIO) -> list[Processor]:
    render = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )
    return [_escape_unprintable, render]


def _order_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    head = {"time": event.pop("time"), "level": event.pop("level"), "message": event.pop("event")}
    return head | dict(event)


def _escape_unprintable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape values, so that none from outside starts a line of its own or controls the terminal."""
    return {key: _escaped(value) if isinstance(value, str) else value for key, value in event.items()}


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


class _Formatter(logging.Formatter):
    def __init__(self, processors: list[Processor], redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self._inner = structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
            foreign_pre_chain=[*_common_processors(), structlog.stdlib.add_logger_name],
        )

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor(self._inner.format(record))


class _RateLimitFilter(logging.Filter):
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._limiter, self._clock = LogRateLimiter(), clock

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _RATE_LIMITED_LOGGERS:
            return True
        error = record.exc_info[0] if record.exc_info else None
        suppressed = self._limiter.admit((record.pathname, record.lineno, error), self._clock())
        if suppressed:
            record.msg, record.args = (
                f"{record.getMessage()} (and {suppressed} similar lines were suppressed)",
                None,
            )
        return suppressed is not None


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

"""Write the log lines of structlog and of all libraries in one form, to standard error."""

import json
import logging
import sys
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from relay.credentials.redaction import Redactor
from relay.telemetry.third_party_lines import ThirdPartyFilter
from relay.telemetry.whole_lines import WholeLines

# At INFO, httpx logs every URL, azure and msal every step of a login, and aiokafka lines for its own developers.
_QUIETED_LOGGERS = ("aiohttp.access", "aiokafka", "azure", "httpcore", "httpx", "msal", "urllib3")
LogLevel = Literal["debug", "info", "warning", "error"]
_LOGGED = "logged_by_jira_relay"


def configure_logging(
    log_format: Literal["json", "text", "auto"],
    log_level: LogLevel,
    redactor: Redactor,
    stream: TextIO | None = None,
    fields: Mapping[str, object] = MappingProxyType({}),
    *,
    shared: bool = False,
) -> None:
    """Send every log line of this process to `stream` (None: standard error), and nowhere else. Each has these fields.

    `shared`: other processes of the relay write to the stream too.

    The entry point calls this once. No line shows local variables, or a secret that the redactor knows.
    """
    stream = sys.stderr if stream is None else stream
    text = log_format == "text" or (log_format == "auto" and stream.isatty())
    handler = WholeLines(stream) if shared else logging.StreamHandler(stream)
    handler.setFormatter(_Formatter("text" if text else "json", stream, redactor, fields))
    handler.addFilter(ThirdPartyFilter(logging.DEBUG))
    logging.root.handlers[:] = [handler]
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    structlog.configure(
        processors=[*_common_processors(fields), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # each line then follows `set_log_level`
    )
    set_log_level(log_level)


def set_log_level(log_level: LogLevel) -> None:
    """Write the lines from this level on, until it is set again. `configure_logging` has set up the rest."""
    level = logging.getLevelNamesMapping()[log_level.upper()]
    logging.root.setLevel(level)
    for handler in logging.root.handlers:
        for each in handler.filters:
            if isinstance(each, ThirdPartyFilter):
                each.level = level
    for name in _QUIETED_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, level))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))


def current_log_level() -> LogLevel:
    """Return the level that was set last."""
    return cast("LogLevel", logging.getLevelName(logging.root.level).lower())


def configured_format() -> Literal["json", "text"] | None:
    """Return the format of log lines. None: `configure_logging` was not called yet."""
    formatters = [handler.formatter for handler in logging.root.handlers]
    return next((each.log_format for each in formatters if isinstance(each, _Formatter)), None)


def mark_logged(error: BaseException) -> None:
    """Note that an error has its line, so that the end of the process does not log it again."""
    vars(error)[_LOGGED] = True


def is_logged(error: BaseException) -> bool:
    """Return whether an error has its line already."""
    return _LOGGED in vars(error)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the error that ends the process; Python would print its text with any secret in it."""
    if is_logged(error):
        return
    logging.root.critical(
        "A defect of jira-relay ended the process. Please report it.", exc_info=(kind, error, trace)
    )


def _common_processors(fields: Mapping[str, object]) -> list[Processor]:
    return [
        lambda _logger, _method, event: {**event, **fields},
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
    def __init__(
        self,
        log_format: Literal["json", "text"],
        stream: TextIO,
        redactor: Redactor,
        fields: Mapping[str, object],
    ) -> None:
        super().__init__()
        self.log_format = log_format
        processors = _text_processors(stream) if log_format == "text" else _json_processors()
        self._redactor = redactor
        self._inner = structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
            foreign_pre_chain=[*_common_processors(fields), structlog.stdlib.add_logger_name],
        )

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor(self._inner.format(record))

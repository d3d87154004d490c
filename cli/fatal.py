"""The error that ends a service: one line, in the format that was chosen for its log.

Whatever reads the log of a service expects one form from the first line on, also where the settings cannot be read.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import structlog

from cli.output import print_error
from relay.credentials.redaction import Redactor
from relay.telemetry.logs import configure_logging, configured_format, is_logged

_FORMATS: tuple[Literal["json", "text"], ...] = ("json", "text")
_CONFIG_OPTION = "--config"


def report_fatal(error: Exception, arguments: Sequence[str]) -> None:
    """Report an operator's error that ends a service, unless it has its line already."""
    if is_logged(error):
        return
    ensure_logging(arguments)
    if configured_format() == "json":
        structlog.get_logger("jira-relay").critical(str(error))
    else:
        print_error(str(error))


def ensure_logging(arguments: Sequence[str]) -> None:
    """Set up the log of a service that failed before it did so itself; a defect is then logged in the same form."""
    if configured_format() is None:
        configure_logging(_chosen_format(arguments, os.environ), "info", Redactor())


def _chosen_format(arguments: Sequence[str], environ: Mapping[str, str]) -> Literal["json", "text", "auto"]:
    """Return telemetry.log_format as far as it can be read: the error may be that the settings cannot."""
    wanted = environ.get("RELAY_TELEMETRY__LOG_FORMAT") or _format_in_file(_config_file(arguments))
    return next((each for each in _FORMATS if each == wanted), "auto")


def _config_file(arguments: Sequence[str]) -> Path:
    given = [each.partition("=")[2] for each in arguments if each.startswith(f"{_CONFIG_OPTION}=")]
    if _CONFIG_OPTION in arguments[:-1]:
        given.append(arguments[arguments.index(_CONFIG_OPTION) + 1])
    return Path(given[-1] if given else "relay.toml")


def _format_in_file(path: Path) -> Any:
    try:
        return tomllib.loads(path.read_text("utf-8"))["telemetry"]["log_format"]
    except (OSError, ValueError, KeyError, TypeError):
        return None

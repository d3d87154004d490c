"""A log in memory, in the relay's JSON form."""

import io
import json
from typing import Any, Literal

from relay.credentials.redaction import Redactor
from relay.telemetry.logs import configure_logging


def set_up_json(
    redactor: Redactor | None = None, level: Literal["debug", "info", "warning", "error"] = "info"
) -> io.StringIO:
    stream = io.StringIO()
    configure_logging("json", level, redactor or Redactor(), stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]

"""The events of a body: JSON objects one after the other, each checked by itself."""

import json
from collections.abc import Iterator
from typing import Any

from simulators.splunk import answers
from simulators.splunk.answers import HecError

Event = dict[str, Any]

_METADATA = ("host", "source", "sourcetype", "index")


def parse_events(body: bytes) -> Iterator[Event]:
    """Yield the objects of a body. Raises HecError at the first that is not one: splunkd has taken those before it."""
    decoder, number = json.JSONDecoder(), 0
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise HecError(answers.INVALID_FORMAT.about(0)) from None
    position = _skip_blanks(text, 0)
    while position < len(text):
        try:
            found, position = decoder.raw_decode(text, position)
        except ValueError:
            raise HecError(answers.INVALID_FORMAT.about(number)) from None
        if not isinstance(found, dict):
            raise HecError(answers.INVALID_FORMAT.about(number))
        yield found
        number += 1
        position = _skip_blanks(text, position)


def check_event(event: Event) -> None:
    """Raises HecError if splunkd refuses an event for itself."""
    if "event" not in event:
        raise HecError(answers.EVENT_REQUIRED)
    if event["event"] in ("", None):
        raise HecError(answers.EVENT_BLANK)
    if any(not isinstance(event.get(name, ""), str) for name in _METADATA) or not _is_time(
        event.get("time", 0)
    ):
        raise HecError(answers.INVALID_FORMAT)
    fields = event.get("fields", {})
    if not isinstance(fields, dict) or any(isinstance(value, dict) for value in fields.values()):
        raise HecError(answers.BAD_FIELDS)


def identifier(event: Event) -> str:
    """Return `organization/id` of an event."""
    return str(event.get("fields", {}).get("event_uid"))


def _is_time(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and float(value) >= 0
    except (TypeError, ValueError):
        return False


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position

"""The forms of a body that a receiver takes: an array, lines, one object, or a batch of CloudEvents."""

import json
from typing import Any

CLOUDEVENT_ATTRIBUTES = ("specversion", "id", "source", "type")


class BadBodyError(Exception):
    """The body has not the form of its content type."""


def parse_events(content_type: str, body: bytes) -> list[dict[str, Any]]:
    """Return the rows of a body. Raises BadBodyError."""
    rows: Any
    try:
        match content_type:
            case "application/json":
                document = json.loads(body)
                rows = document if isinstance(document, list) else [document]
            case "application/x-ndjson":
                rows = [json.loads(line) for line in body.split(b"\n") if line]
            case "application/cloudevents-batch+json":
                rows = json.loads(body)
            case _:
                raise BadBodyError(f"the content type {content_type} is not known")
    except ValueError as error:
        raise BadBodyError("the body is not JSON") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadBodyError("the body holds something that is not an object")
    if content_type == "application/cloudevents-batch+json" and not all(
        row.get(name) for row in rows for name in CLOUDEVENT_ATTRIBUTES
    ):
        raise BadBodyError("an event lacks an attribute")
    return rows


def identifier(row: dict[str, Any]) -> str:
    """Return `organization/id` of a row in any of the forms."""
    return str(row["id"] if "specversion" in row else row.get("uid"))

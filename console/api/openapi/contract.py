"""The description of one call of the API, and short forms of JSON schemas. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a request. `place`: query or header; those of the path are found in the path."""

    name: str
    description: str
    schema: Schema
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """A call of the API. `summary`: an imperative sentence. `answer`: the document of 200, or of 201 too where `creates` is set.

    `problems`: names of problem kinds (`console/errors.py`) beside those that every call has.
    """

    summary: str
    answer: Schema
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    creates: bool = False
    has_entity_tag: bool = False
    problems: tuple[str, ...] = ()


IF_MATCH = Parameter(
    "If-Match",
    "The ETag of the organization: the change is refused if somebody else has changed it since.",
    {"type": "string"},
    "header",
)


IF_NONE_MATCH = Parameter(
    "If-None-Match",
    "`*`: add the organization; the call is refused if it exists.",
    {"type": "string", "enum": ["*"]},
    "header",
)


def text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def whole_number(description: str, **more: Any) -> Schema:
    return {"type": "integer", "description": description, **more}


def boolean(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def instant(description: str) -> Schema:
    """Return the schema of an instant in ISO 8601, UTC."""
    return {"type": "string", "format": "date-time", "description": description}


def nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def names(description: str) -> Schema:
    """Return a list of texts, or one text with spaces or commas between them, as a form sends it; null: none is given."""
    return {"type": ["array", "string", "null"], "items": {"type": "string"}, "description": description}


def list_of(items: Schema, description: str = "") -> Schema:
    found: dict[str, Any] = {"type": "array", "items": items}
    return found | ({"description": description} if description else {})


def object_of(
    properties: Mapping[str, Schema], optional: tuple[str, ...] = (), *, open_ended: bool = False
) -> Schema:
    """Return the schema of an object. `optional`: members that may be missing. `open_ended`: it may have others too."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": open_ended,
    }

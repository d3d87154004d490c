"""Tables of reference pages, made of the code while the site is built; `python -m tests.docs.reference NAME` prints one."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import schemas
from console.api.openapi import OPERATIONS
from console.api.openapi.document import build_document
from consumer.destinations.catalogue import DESTINATIONS
from management.runbook import code_texts, explanations
from management.runbook.page import messages_of
from producer.sources.catalogue import SOURCES
from producer.sources.errors import ErrorKind
from relay.kafka.topics import Topics, topic_specs
from relay.timestamps import DAY_MS

_METHODS = ("get", "post", "put", "delete", "patch")
_PLACE = re.compile(r"^<!-- tables: (\w+) -->\n.*?^<!-- end -->\n", re.MULTILINE | re.DOTALL)
"""The part of a page that the tables replace. In the repository it says where they are."""


def api_tables() -> Iterator[str]:
    """Yield the lines of the calls of the API, from its OpenAPI document."""
    paths = build_document(OPERATIONS, version("jira-audit-relay"))["paths"]
    areas: dict[str, list[str]] = {}
    for path, calls in paths.items():
        for method in (each for each in _METHODS if each in calls):
            areas.setdefault(path.split("/")[3], []).append(_call(path, method, calls[method]))
    for area, rows in areas.items():
        yield from (f"## {area}", "", *_head("call", "what it does", "role", "parameters"), *rows, "")


def _call(path: str, method: str, call: dict[str, Any]) -> str:
    asked = [f"`{each['name']}`" for each in call.get("parameters", ()) if each["in"] != "path"]
    if "requestBody" in call:
        members = call["requestBody"]["content"]["application/json"]["schema"].get("properties", {})
        asked.append("a body: " + ", ".join(f"`{name}`" for name in members) if members else "a body")
    role = call["description"].removeprefix("Needs the role ").removesuffix(".")
    return _row(f"`{method.upper()} {path}`", call["summary"], role, "; ".join(asked) or "-")


def topics_tables() -> Iterator[str]:
    """Yield the lines of the topics, from their specifications."""
    yield from _head("topic", "partitions", "kept", "settings")
    for spec in topic_specs(Topics("jira-audit"), 0):
        retention = spec.configs.get("retention.ms")
        kept = "the latest of each key" if retention is None else f"{int(retention) // DAY_MS} days"
        settings = ", ".join(f"`{name}={value}`" for name, value in spec.configs.items())
        yield _row(f"`{spec.name}`", str(spec.partitions or "shards"), kept, settings)


def schemas_tables() -> Iterator[str]:
    """Yield the lines of the schemas, from their files."""
    for subject in schemas.SUBJECTS:
        schema = schemas.load(subject)
        versions = len(schemas.released(subject))
        yield from (f"## {subject}", "", schema["doc"], f"Released versions: {versions}.", "")
        yield from (*_head("field", "type", "meaning"), *_fields(schema, ""), "")


def _fields(schema: dict[str, Any], prefix: str) -> Iterator[str]:
    for field in schema["fields"]:
        name = f"{prefix}{field['name']}"
        yield _row(f"`{name}`", type_in_words(field["type"]), field.get("doc", "-"))
        for inner in _records_of(field["type"]):
            yield from _fields(inner, f"{name}.")


def type_in_words(avro: Any) -> str:
    """Return a type of Avro in words."""
    match avro:
        case str():
            return avro.rpartition(".")[2]
        case list():
            others = [type_in_words(each) for each in avro if each != "null"]
            return " or ".join([*others, *(["null"] if "null" in avro else [])])
        case {"type": "array", "items": items}:
            return f"list of {type_in_words(items)}"
        case {"type": "map", "values": values}:
            return f"map to {type_in_words(values)}"
        case {"type": "enum", "symbols": symbols}:
            return ", ".join(f"`{each}`" for each in symbols)
        case {"type": "record", "name": name}:
            return str(name)
    return str(avro.get("logicalType", avro["type"]))


def _records_of(avro: Any) -> Iterator[dict[str, Any]]:
    match avro:
        case list():
            for each in avro:
                yield from _records_of(each)
        case {"type": "array", "items": inner} | {"type": "map", "values": inner}:
            yield from _records_of(inner)
        case {"type": "record"}:
            yield avro


def messages_tables() -> Iterator[str]:
    """Yield the lines of all messages that the runbook has, in the order of their first words; `about` names kinds too."""
    about: dict[tuple[str, str], list[str]] = {}
    for part, text, command in _messages():
        about.setdefault((text, command), []).append(part)
    rows = [
        _row(text, ", ".join(dict.fromkeys(parts)), command)
        for (text, command), parts in about.items()
        if text.strip("…. :")
    ]
    yield from (*_head("message", "about", "first command"), *sorted(rows, key=_first_words))


def _messages() -> Iterator[tuple[str, str, str]]:
    messages = {name: source.messages for name, source in SOURCES.items()}
    for kind in ErrorKind:
        yield "an organization", messages_of(kind, messages), explanations.SOURCE_ERRORS[kind][1]
    for name, text in code_texts.kafka_errors():
        yield "Kafka", text, explanations.KAFKA_ERRORS[name][1]
    for name, text in code_texts.destination_problems():
        yield "a destination", text, explanations.DESTINATION_PROBLEMS[name][1]
    for name, kind in DESTINATIONS.items():
        for outcome, text in code_texts.answers_by_status(kind):
            yield name, text, explanations.ANSWERS[outcome][1]
        for outcome, text in code_texts.answers_without_status(kind):
            yield name, text, explanations.ANSWERS[outcome][1]


def _first_words(row: str) -> str:
    return re.sub(r"[^a-z ]", "", row.lower()).strip()


def _head(*names: str) -> tuple[str, str]:
    return _row(*names), _row(*("---" for _ in names))


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "api": api_tables,
    "topics": topics_tables,
    "schemas": schemas_tables,
    "messages": messages_tables,
}


def with_tables(text: str) -> str:
    """Return a page with its tables. Raises KeyError for tables that do not exist."""
    return _PLACE.sub(lambda found: "\n".join(TABLES[found[1]]()).rstrip() + "\n", text)


if __name__ == "__main__":
    sys.stdout.write("\n".join(TABLES[sys.argv[1]]()) + "\n")

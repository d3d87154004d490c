"""The OpenAPI document, made of the descriptions of all calls. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from console.api.openapi.contract import Operation, Parameter, Schema, object_of, text, whole_number
from console.errors import PROBLEM_KINDS
from console.permissions import PERMISSIONS, AccessRole
from console.problems import MEDIA_TYPE, ProblemKind

_COMMON = ("unauthorized", "foreign-host", "too-many-attempts", "internal", "unavailable")
_OF_CHANGES = ("role-missing", "foreign-origin", "body-too-large", "body-too-slow")
_OF_BODIES = ("invalid-input",)
_PLACE = re.compile(r"\{(\w+)\}")

_PROBLEM = object_of(
    {
        "type": text("The kind of problem, which scripts may rely on.", format="uri"),
        "title": text("The words of the status."),
        "status": whole_number("The status of the answer."),
        "detail": text("What happened, and what to do."),
    }
)


def build_document(operations: Mapping[str, Operation], version: str) -> dict[str, Any]:
    """Return the document. `operations`: by method and path of the route."""
    paths: dict[str, dict[str, Any]] = {}
    for key, operation in operations.items():
        method, path = key.split(" ", 1)
        paths.setdefault(_PLACE.sub(r"{\1}", path), {})[method.lower()] = _operation(key, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jira Audit Relay",
            "version": version,
            "description": "What the command line does, by HTTP.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "jira-relay"},
            },
        },
    }


def _operation(key: str, operation: Operation) -> dict[str, Any]:
    role = PERMISSIONS[key] or AccessRole.VIEWER
    parameters = [
        *(
            _parameter(Parameter(name, "", {"type": "string", "minLength": 1}, "path"))
            for name in _PLACE.findall(key)
        ),
        *(_parameter(each) for each in operation.parameters),
    ]
    found: dict[str, Any] = {
        "operationId": _operation_id(key),
        "summary": operation.summary,
        "description": f"Needs the role {role}.",
        "responses": {**_successes(operation), **_problems(key, operation)},
    }
    if parameters:
        found["parameters"] = parameters
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": _json(operation.body)}
    return found


def _operation_id(key: str) -> str:
    method, path = key.split(" ", 1)
    words = re.findall(r"\w+", _PLACE.sub(r"\1", path.removeprefix("/api/v1/")))
    return "_".join((method.lower(), *words))


def _parameter(parameter: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {"name": parameter.name, "in": parameter.place, "schema": dict(parameter.schema)}
    if parameter.place == "path":
        return found | {"required": True, "description": "Percent-encoded."}
    return found | {"description": parameter.description}


def _successes(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done.", "content": _json(operation.answer)}
    if operation.has_entity_tag:
        answer["headers"] = {
            "ETag": {"description": "For If-Match of a change.", "schema": {"type": "string"}}
        }
    return {"200": answer} | ({"201": answer | {"description": "Added."}} if operation.creates else {})


def _problems(key: str, operation: Operation) -> dict[str, Any]:
    """Return the answers that are problems: one for each status, with the types that it may have."""
    names = [*_COMMON, *operation.problems]
    names += _OF_CHANGES if not key.startswith("GET ") else ()
    names += _OF_BODIES if operation.body is not None else ()
    kinds = [PROBLEM_KINDS[name] for name in dict.fromkeys(names)]
    return {
        str(status): _answer_of([each for each in kinds if each.status.value == status])
        for status in sorted({kind.status.value for kind in kinds})
    }


def _answer_of(kinds: Iterable[ProblemKind]) -> dict[str, Any]:
    schema = {
        "allOf": [
            {"$ref": "#/components/schemas/Problem"},
            {"properties": {"type": {"enum": [kind.type for kind in kinds]}}},
        ]
    }
    return {
        "description": " Or: ".join(f"{kind.status.phrase} ({kind.name})." for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": schema}},
    }


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": dict(schema)}}

"""Register and check the schemas of both event topics: `jira-relay schemas register` and `… schemas check`."""

from dataclasses import dataclass
from typing import Any

from fastavro import parse_schema

import schemas
from relay.avro.codec import SchemaId
from relay.kafka.topics import Topics
from relay.schema_registry.client import (
    FULL_TRANSITIVE,
    Missing,
    RegisteredSchema,
    RegistryFailure,
    SchemaRegistryClient,
    SchemaRejected,
    value_subject,
)
from schemas import Schema

_REMEDY = "run `jira-relay schemas register`"


@dataclass(frozen=True, slots=True)
class SubjectReport:
    """The result for one subject. `problems` say what to fix; empty means correct."""

    subject: str
    state: str
    id: int | None = None
    problems: tuple[str, ...] = ()


def subjects(topics: Topics) -> tuple[str, str]:
    """Return the subjects of both event topics."""
    return value_subject(topics.events), value_subject(topics.backfill)


async def register_schemas(client: SchemaRegistryClient, topics: Topics) -> list[SubjectReport]:
    """Set FULL_TRANSITIVE on each subject, then register the schema. Nothing changes where both were done before."""
    schema = schemas.load("audit_event")
    return [await _register_subject(client, subject, schema) for subject in subjects(topics)]


async def _register_subject(client: SchemaRegistryClient, subject: str, schema: Schema) -> SubjectReport:
    failure = await client.set_full_transitive(subject)
    problems = () if failure is None else (f"The compatibility level could not be set: {failure.reason}",)
    answer = await client.register(subject, schema)
    if isinstance(answer, SchemaId):
        return SubjectReport(subject, "registered", answer.value, problems)
    return SubjectReport(subject, "not registered", None, (*problems, _failure_reason(answer)))


def _failure_reason(failure: RegistryFailure) -> str:
    if isinstance(failure, SchemaRejected):
        return f"The registry rejects the schema of events: {failure.reason}"
    return failure.reason


async def check_schemas(client: SchemaRegistryClient, topics: Topics) -> list[SubjectReport]:
    """Compare the registered schemas with the schema of events. Changes nothing."""
    schema = schemas.load("audit_event")
    return [await _check_subject(client, subject, schema) for subject in subjects(topics)]


async def _check_subject(client: SchemaRegistryClient, subject: str, schema: Schema) -> SubjectReport:
    match await client.latest(subject):
        case RegisteredSchema() as latest:
            state, problems = await _compare(client, subject, schema, latest)
            problems = (*problems, *await _check_level(client, subject))
            return SubjectReport(subject, state, latest.id.value, problems)
        case Missing():
            return SubjectReport(subject, "missing", None, (f"The schema is not registered: {_REMEDY}.",))
        case failure:
            return SubjectReport(subject, "unknown", None, (failure.reason,))


async def _compare(
    client: SchemaRegistryClient, subject: str, schema: Schema, latest: RegisteredSchema
) -> tuple[str, tuple[str, ...]]:
    if _normalized(latest.schema) == _normalized(schema):
        return "correct", ()
    if isinstance(await client.lookup(subject, schema), SchemaId):
        return "newer than ours", ()
    match await client.check_compatibility(subject, schema):
        case None:
            return "different", (
                f"Another version is registered, which is compatible with this relay's: {_REMEDY}.",
            )
        case SchemaRejected(reason):
            return "incompatible", (f"The registered schema is not compatible with the relay's: {reason}",)
        case failure:
            return "different", (failure.reason,)


async def _check_level(client: SchemaRegistryClient, subject: str) -> tuple[str, ...]:
    match await client.compatibility_level(subject):
        case str(level):
            problem = f"The compatibility level is {level}, not {FULL_TRANSITIVE}: {_REMEDY}."
            return () if level == FULL_TRANSITIVE else (problem,)
        case Missing():
            return (f"The compatibility level is not set to {FULL_TRANSITIVE}: {_REMEDY}.",)
        case failure:
            return (failure.reason,)


def _normalized(schema: Schema) -> Any:
    """Return a schema without white space, short names and docs, which registries rewrite or leave out."""
    return _without_docs(parse_schema(schema))


def _without_docs(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_docs(each) for each in node]
    if isinstance(node, dict):
        return {
            key: _without_docs(value)
            for key, value in node.items()
            if key != "doc" and not key.startswith("__")
        }
    return node

"""What `jira-relay schemas register` and `jira-relay schemas check` do, for the subjects of both event topics."""

from dataclasses import dataclass
from typing import Any

from fastavro import parse_schema

import schemas
from relay.avro.codec import SchemaId
from relay.kafka.topics import Topics
from relay.schema_registry.client import FULL_TRANSITIVE, Failure, Missing, Refused, Registered, Registry
from relay.schema_registry.store import value_subject
from schemas import Schema

_TO_DO = "run `jira-relay schemas register`"


@dataclass(frozen=True, slots=True)
class SubjectReport:
    """What was found or done for one subject. `problems` say what to fix; empty: as it should be."""

    subject: str
    state: str
    id: int | None = None
    problems: tuple[str, ...] = ()


def subjects(topics: Topics) -> tuple[str, str]:
    return value_subject(topics.events), value_subject(topics.backfill)


async def register(registry: Registry, topics: Topics) -> list[SubjectReport]:
    """Demand FULL_TRANSITIVE of each subject, then add our schema; nothing changes where both were done before."""
    schema = schemas.load("audit_event")
    return [await _register(registry, subject, schema) for subject in subjects(topics)]


async def _register(registry: Registry, subject: str, schema: Schema) -> SubjectReport:
    demanded = await registry.demand_full_transitive(subject)
    problems = () if demanded is None else (f"Its compatibility could not be set: {demanded.reason}",)
    answer = await registry.register(subject, schema)
    if isinstance(answer, SchemaId):
        return SubjectReport(subject, "registered", answer.value, problems)
    return SubjectReport(subject, "not registered", None, (*problems, _why_not(answer)))


def _why_not(failure: Failure) -> str:
    if isinstance(failure, Refused):
        return f"The registry refuses our schema: {failure.reason}"
    return failure.reason


async def check(registry: Registry, topics: Topics) -> list[SubjectReport]:
    """Compare what is registered with what we write; nothing is changed."""
    schema = schemas.load("audit_event")
    return [await _check(registry, subject, schema) for subject in subjects(topics)]


async def _check(registry: Registry, subject: str, schema: Schema) -> SubjectReport:
    match await registry.latest(subject):
        case Registered() as latest:
            state, problems = await _compare(registry, subject, schema, latest)
            problems = (*problems, *await _compatibility(registry, subject))
            return SubjectReport(subject, state, latest.id.value, problems)
        case Missing():
            return SubjectReport(subject, "missing", None, (f"It is not registered: {_TO_DO}.",))
        case failure:
            return SubjectReport(subject, "unknown", None, (failure.reason,))


async def _compare(
    registry: Registry, subject: str, schema: Schema, latest: Registered
) -> tuple[str, tuple[str, ...]]:
    if _meaning(latest.schema) == _meaning(schema):
        return "as it should be", ()
    if isinstance(await registry.lookup(subject, schema), SchemaId):
        return "newer than ours", ()
    match await registry.compatible(subject, schema):
        case None:
            return "different", (f"Another version is registered, ours is compatible with it: {_TO_DO}.",)
        case Refused(reason):
            return "incompatible", (f"What is registered and what we write do not go together: {reason}",)
        case failure:
            return "different", (failure.reason,)


async def _compatibility(registry: Registry, subject: str) -> tuple[str, ...]:
    match await registry.compatibility(subject):
        case str(level):
            wrong = f"Its compatibility is {level}, should be {FULL_TRANSITIVE}: {_TO_DO}."
            return () if level == FULL_TRANSITIVE else (wrong,)
        case Missing():
            return (f"Its compatibility is not set, should be {FULL_TRANSITIVE}: {_TO_DO}.",)
        case failure:
            return (failure.reason,)


def _meaning(schema: Schema) -> Any:
    """A schema without what registries may write in another way, or leave out: white space, short names, docs."""
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

"""Whether every connection of the relay works, each tried although others fail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from consumer.destinations.outcome import Sent
from consumer.destinations.sentinel import rows
from consumer.destinations.sentinel.client import IngestionClient
from consumer.destinations.sentinel.config import SentinelConfig
from management.connection_test import Means, verify
from management.organizations import key_rotation
from management.organizations.store import plainly, standing
from management.settings import Settings
from relay.config.secrets import SecretsConfig
from relay.credentials.keyring import load_keyring
from relay.errors import RelayError
from relay.kafka import topic_admin
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.schema_registry import register
from relay.schema_registry.client import open_schema_registry

CALL_SECONDS = 30.0
TOPICS_SECONDS = 30.0
AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """One connection. `message` says what is well, or what to fix."""

    subject: str
    ok: bool
    message: str


Check = Callable[[], Awaitable[str]]
"""What is well; raises RelayError with what to fix."""


def check_secrets(secrets: SecretsConfig) -> Finding:
    """Raises SettingsError for keys that cannot be used."""
    if load_keyring(secrets) is not None:
        return Finding("secrets", ok=True, message="API keys can be encrypted")
    message = "secrets.key_file is not set: organizations can have references to API keys only"
    return Finding("secrets", ok=True, message=message)


async def check_all(settings: Settings, means: Means) -> AsyncIterator[Finding]:
    """Everything there is, a finding each; nothing is changed, and what is sent to destinations holds no row."""
    connection = means.connection
    kafka = await _finding("Kafka", lambda: _kafka(connection))
    yield kafka
    yield await _finding("topics", lambda: _topics(connection)) if kafka.ok else _unknown("topics")
    yield await _finding("schema registry", lambda: _registry(settings))
    checks = {
        f"destination {name}": _of_destination(name, target) for name, target in settings.destinations.items()
    }
    if not checks:
        yield Finding(
            "destinations", ok=True, message="none is set: events are kept in Kafka alone, for 30 days"
        )
    try:
        if kafka.ok:
            found = await standing(connection)
            if (keyring := load_keyring(means.secrets)) is not None:
                yield await _finding("seals", _of_seals(found.organizations, keyring.ids))
            checks = _of_organizations(means, found.organizations) | checks
            for name, complaint in found.complaints:
                yield Finding(f"organization {name}", ok=False, message=complaint)
        else:
            yield _unknown("organizations")
    except RelayError as error:
        yield Finding("organizations", ok=False, message=str(error))
    async for finding in _side_by_side(checks):
        yield finding


async def _side_by_side(checks: Mapping[str, Check]) -> AsyncIterator[Finding]:
    """In their order, a few at a time."""
    turn = asyncio.Semaphore(AT_A_TIME)

    async def in_turn(subject: str, check: Check) -> Finding:
        async with turn:
            return await _finding(subject, check)

    tasks = [asyncio.create_task(in_turn(subject, check)) for subject, check in checks.items()]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _finding(subject: str, check: Check) -> Finding:
    try:
        ok, message = True, await check()
    except RelayError as error:
        ok, message = False, str(error)
    _, _, name = subject.partition(" ")
    return Finding(subject, ok, message.removeprefix(f"{name}: "))


def _unknown(subject: str) -> Finding:
    return Finding(subject, ok=False, message="cannot be looked at without Kafka")


async def _kafka(connection: Connection) -> str:
    with plainly(connection):
        await connection.verify()
    return f"answers at {connection.bootstrap}"


async def _topics(connection: Connection) -> str:
    with plainly(connection):
        async with asyncio.timeout(TOPICS_SECONDS):
            reports = await topic_admin.compare_topics(connection)
    problems = [f"{report.name}: {problem}" for report in reports for problem in report.problems]
    if problems:
        raise RelayError(" ".join(problems))
    return f"all {len(reports)} are there, as they should be"


async def _registry(settings: Settings) -> str:
    if settings.schema_registry.url is None:
        return "none is set: events are written in Avro single-object encoding"
    async with open_schema_registry(settings.schema_registry) as registry:
        reports = await register.check_schemas(registry, Topics(settings.kafka.topic_prefix))
    problems = [f"{report.subject}: {problem}" for report in reports for problem in report.problems]
    if problems:
        raise RelayError(" ".join(problems))
    return f"answers at {settings.schema_registry.url}; both schemas are registered"


def _of_seals(found: Mapping[str, Organization], keys: Sequence[str]) -> Check:
    async def check() -> str:
        return key_rotation.in_words(found, keys)

    return check


def _of_organizations(means: Means, found: Mapping[str, Organization]) -> dict[str, Check]:
    return {f"organization {name}": _of_organization(means, found, name) for name in sorted(found)}


def _of_organization(means: Means, found: Mapping[str, Organization], name: str) -> Check:
    async def check() -> str:
        return "paused, hence not tried" if found[name].paused else await verify(means, found[name], found)

    return check


def _of_destination(name: str, target: SentinelConfig) -> Check:
    async def check() -> str:
        empty = rows.encode_body([])
        async with IngestionClient(name, target, CALL_SECONDS) as ingestion:
            for stream in dict.fromkeys((target.stream, target.history_stream)):
                outcome = await ingestion.send(stream, empty)
                if not isinstance(outcome, Sent):
                    raise RelayError(f"The stream {stream} does not take an empty batch. {outcome.reason}")
        return f"{target.endpoint} takes what is sent to the rule {target.rule_id}"

    return check

"""The checks of every connection of the relay. A failure does not stop the others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig
from consumer.destinations.outcome import Partial, Sent
from management.connection_test import verify_connection
from management.context import OperatorContext
from management.organizations import key_rotation
from management.organizations.store import kafka_errors_as_relay_errors, read_store
from management.settings import Settings
from management.timing import OperatorTiming
from relay.config.secrets import SecretsConfig
from relay.credentials.keyring import load_keyring
from relay.errors import RelayError
from relay.kafka import topic_admin
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.schema_registry import register
from relay.schema_registry.client import open_schema_registry
from relay.timestamps import DAY_MS


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check. `message`: the finding, or what to fix."""

    subject: str
    ok: bool
    message: str


Check = Callable[[], Awaitable[str]]
"""Returns the finding. Raises RelayError with what to fix."""


def check_secrets(secrets: SecretsConfig) -> CheckResult:
    """Check the keys of `secrets`. Raises SettingsError when they cannot be used."""
    if load_keyring(secrets) is not None:
        return CheckResult("secrets", ok=True, message="API keys can be encrypted")
    message = "secrets.key_file is not set, so only references to API keys can be stored"
    return CheckResult("secrets", ok=True, message=message)


async def check_all(settings: Settings, context: OperatorContext) -> AsyncIterator[CheckResult]:
    """Run every check, and yield each result as soon as it is known. Nothing is changed: destinations receive an empty request."""
    connection = context.connection
    kafka = await _run_check("Kafka", lambda: _check_kafka(connection))
    yield kafka
    yield (
        await _run_check("topics", lambda: _check_topics(settings, context))
        if kafka.ok
        else _not_checkable("topics")
    )
    yield await _run_check("schema registry", lambda: _check_registry(settings))
    checks = {
        f"destination {name}": _destination_check(name, target)
        for name, target in settings.destinations.items()
    }
    if not checks:
        yield CheckResult("destinations", ok=True, message="none is set; events stay in Kafka for 30 days")
    results, organization_checks = (
        await _check_store(context) if kafka.ok else ([_not_checkable("organizations")], {})
    )
    for result in results:
        yield result
    async for result in _run_concurrently(organization_checks | checks, context.timing):
        yield result


async def _check_store(context: OperatorContext) -> tuple[list[CheckResult], dict[str, Check]]:
    """Check the seals and the records of the organizations topic; return the results, and a check for each organization."""
    try:
        stored = await read_store(context.connection)
        keyring = load_keyring(context.secrets)
    except RelayError as error:
        return [CheckResult("organizations", ok=False, message=str(error))], {}
    problems = [
        CheckResult(f"organization {name}", ok=False, message=problem) for name, problem in stored.problems
    ]
    seals = (
        []
        if keyring is None
        else [await _run_check("seals", _seals_check(stored.organizations, keyring.ids))]
    )
    return [*seals, *problems], _organization_checks(context, stored.organizations)


async def _run_concurrently(
    checks: Mapping[str, Check], timing: OperatorTiming
) -> AsyncIterator[CheckResult]:
    """Run the checks, at most `timing.concurrent_checks` at a time, and yield their results in the given order."""
    slots = asyncio.Semaphore(timing.concurrent_checks)

    async def run_in_slot(subject: str, check: Check) -> CheckResult:
        async with slots:
            return await _run_check(subject, check)

    tasks = [asyncio.create_task(run_in_slot(subject, check)) for subject, check in checks.items()]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run_check(subject: str, check: Check) -> CheckResult:
    try:
        ok, message = True, await check()
    except RelayError as error:
        ok, message = False, str(error)
    _, _, name = subject.partition(" ")
    return CheckResult(subject, ok, message.removeprefix(f"{name}: "))


def _not_checkable(subject: str) -> CheckResult:
    return CheckResult(subject, ok=False, message="not checked, because Kafka does not answer")


async def _check_kafka(connection: Connection) -> str:
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
    return f"answers at {connection.bootstrap}"


async def _check_topics(settings: Settings, context: OperatorContext) -> str:
    connection = context.connection
    reread_ms = settings.producer.late_days * DAY_MS
    with kafka_errors_as_relay_errors(connection):
        async with asyncio.timeout(context.timing.topics_seconds):
            reports = await topic_admin.compare_topics(connection, reread_ms)
    problems = [f"{report.name}: {problem}" for report in reports for problem in report.problems]
    if problems:
        raise RelayError(" ".join(problems))
    notes = [f" {report.name}: {note}" for report in reports for note in report.notes]
    return "".join([f"all {len(reports)} exist, with the right settings", "." if notes else "", *notes])


async def _check_registry(settings: Settings) -> str:
    if settings.schema_registry.url is None:
        return "none is set; events are written in Avro single-object encoding"
    async with open_schema_registry(settings.schema_registry) as registry:
        reports = await register.check_schemas(registry, Topics(settings.kafka.topic_prefix))
    problems = [f"{report.subject}: {problem}" for report in reports for problem in report.problems]
    if problems:
        raise RelayError(" ".join(problems))
    return f"answers at {settings.schema_registry.url}; both schemas are registered"


def _seals_check(found: Mapping[str, Organization], keys: Sequence[str]) -> Check:
    async def check() -> str:
        return key_rotation.describe_key_usage(found, keys)

    return check


def _organization_checks(context: OperatorContext, found: Mapping[str, Organization]) -> dict[str, Check]:
    return {f"organization {name}": _organization_check(context, found, name) for name in sorted(found)}


def _organization_check(context: OperatorContext, found: Mapping[str, Organization], name: str) -> Check:
    async def check() -> str:
        return (
            "not tested, because it is paused"
            if found[name].paused
            else await verify_connection(context, found[name], found)
        )

    return check


def _destination_check(name: str, config: DestinationConfig) -> Check:
    async def check() -> str:
        kind = DESTINATIONS[config.kind]
        async with kind.open(name, config, kind.request_timeout_seconds) as streams:
            by_address = {stream.address: stream for stream in streams.values()}
            for address, stream in by_address.items():
                outcome = await stream.probe()
                if not isinstance(outcome, Sent):
                    reason = "" if isinstance(outcome, Partial) else f" {outcome.reason}"
                    raise RelayError(f"{address} did not accept a request without events.{reason}")
        return f"accepts requests: {'; '.join(by_address)}"

    return check

"""The checks of every connection of the relay. A failure does not stop the others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

from consumer.targets.store import ClaimStore
from consumer.targets.target import Pause
from management.check_results import Check, CheckResult
from management.connection_checks import destination_checks, organization_checks
from management.context import OperatorContext
from management.organizations import key_rotation
from management.organizations.store import kafka_errors_as_relay_errors, read_store
from management.organizations.view import read_organization_statuses
from management.rights import Role
from management.rights_check import check_rights
from management.settings import Settings
from management.timing import OperatorTiming
from relay.config.secrets import SecretsConfig
from relay.credentials.keyring import load_keyring
from relay.errors import RelayError
from relay.kafka import topic_admin
from relay.kafka.connection import Connection
from relay.kafka.topic_copies import join_by_text
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.schema_registry import register
from relay.schema_registry.client import open_schema_registry
from relay.status.model import Status
from relay.timestamps import DAY_MS


def check_secrets(secrets: SecretsConfig) -> CheckResult:
    """Check the keys of `secrets`. Raises SettingsError when they cannot be used."""
    if load_keyring(secrets) is not None:
        return CheckResult("secrets", "ok", "API keys can be encrypted")
    message = "secrets.key_file is not set, so only references to API keys can be stored"
    return CheckResult("secrets", "ok", message)


async def check_all(
    settings: Settings, context: OperatorContext, roles: Collection[Role] = tuple(Role)
) -> AsyncIterator[CheckResult]:
    """Run every check, and yield each result as soon as it is known. `roles`: those whose rights on Kafka are checked.

    Nothing is changed: destinations receive a request without events.
    """
    connection = context.connection
    kafka = await _run_check(
        "Kafka", lambda: _check_kafka(connection, embedded=settings.kafka.bootstrap is None)
    )
    yield kafka
    if kafka.ok:
        yield await _run_check("topics", lambda: _check_topics(settings, context))
        for result in await check_rights(connection, roles, settings.destinations):
            yield result
    else:
        for subject in ("topics", *(f"rights of the {role}" for role in roles)):
            yield _not_checkable(subject)
    yield await _run_check("schema registry", lambda: _check_registry(settings))
    if not settings.destinations:
        yield CheckResult("destinations", "ok", "none is set; events stay in Kafka for 30 days")
    statuses = await _read_statuses(context) if kafka.ok else {}
    pauses = await _read_pauses(context, settings.destinations) if kafka.ok else {}
    results, organizations = (
        await _check_store(context) if kafka.ok else ([_not_checkable("organizations")], {})
    )
    for result in results:
        yield result
    known = organizations.keys() if all(result.ok for result in results) else None
    checks = organization_checks(context, organizations, statuses) | destination_checks(
        context, settings.destinations, statuses, known, pauses
    )
    async for result in _run_concurrently(checks, context.timing):
        yield result


async def _read_statuses(context: OperatorContext) -> Mapping[str, Status]:
    """Return the reports of services; none if they cannot be read, as the check of the topics or the rights says."""
    try:
        return await read_organization_statuses(context.connection)
    except RelayError:
        return {}


async def _read_pauses(context: OperatorContext, destinations: Collection[str]) -> Mapping[str, Pause]:
    """Return the pauses by operators; none if they cannot be read, as the check of the topics or the rights says."""
    topics = Topics(context.connection.kafka.topic_prefix)
    try:
        with kafka_errors_as_relay_errors(context.connection):
            return await ClaimStore(context.connection, topics.destinations).read_pauses(destinations)
    except RelayError:
        return {}


async def _check_store(
    context: OperatorContext,
) -> tuple[list[CheckResult], Mapping[str, Organization]]:
    """Check the seals and the records of the organizations topic; return the results, and the organizations."""
    try:
        stored = await read_store(context.connection)
        keyring = load_keyring(context.secrets)
    except RelayError as error:
        return [CheckResult("organizations", "failed", str(error))], {}
    problems = [CheckResult(f"organization {name}", "failed", problem) for name, problem in stored.problems]
    seals = (
        []
        if keyring is None
        else [await _run_check("seals", _seals_check(stored.organizations, keyring.ids))]
    )
    return [*seals, *problems], stored.organizations


async def _run_concurrently(
    checks: Mapping[str, Check], timing: OperatorTiming
) -> AsyncIterator[CheckResult]:
    """Run the checks, at most `timing.concurrent_checks` at a time, and yield their results in the given order."""
    slots = asyncio.Semaphore(timing.concurrent_checks)

    async def run_in_slot(check: Check) -> CheckResult:
        async with slots:
            return await check()

    tasks = [asyncio.create_task(run_in_slot(check)) for check in checks.values()]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run_check(subject: str, find: Callable[[], Awaitable[str]]) -> CheckResult:
    """Return the finding of `find` as a result. A RelayError of it is a failure."""
    try:
        return CheckResult(subject, "ok", await find())
    except RelayError as error:
        return CheckResult(subject, "failed", str(error))


def _not_checkable(subject: str) -> CheckResult:
    return CheckResult(subject, "failed", "not checked, because Kafka does not answer")


async def _check_kafka(connection: Connection, *, embedded: bool) -> str:
    try:
        with kafka_errors_as_relay_errors(connection):
            await connection.verify()
    except RelayError as error:
        if embedded:
            raise RelayError(
                f"{error} kafka.bootstrap is not set, so this is the embedded Kafka: start it with `jira-relay up`."
            ) from error
        raise
    return f"answers at {connection.bootstrap}"


async def _check_topics(settings: Settings, context: OperatorContext) -> str:
    connection = context.connection
    reread_ms = settings.producer.late_days * DAY_MS
    with kafka_errors_as_relay_errors(connection):
        async with asyncio.timeout(context.timing.topics_seconds):
            reports = await topic_admin.compare_topics(connection, reread_ms)
    if problems := join_by_text(
        [(report.name, problem) for report in reports for problem in report.problems]
    ):
        raise RelayError(" ".join(problems))
    compared = all(report.state != "exists" for report in reports)
    found = f"all {len(reports)} exist{', with the right settings' if compared else ''}"
    notes = join_by_text([(report.name, note) for report in reports for note in report.notes])
    return " ".join([f"{found}.", *notes]) if notes else found


async def _check_registry(settings: Settings) -> str:
    if settings.schema_registry.url is None:
        return "none is set; events are written in Avro single-object encoding"
    async with open_schema_registry(settings.schema_registry) as registry:
        reports = await register.check_schemas(registry, Topics(settings.kafka.topic_prefix))
    problems = [f"{report.subject}: {problem}" for report in reports for problem in report.problems]
    if problems:
        raise RelayError(" ".join(problems))
    return f"answers at {settings.schema_registry.url}; both schemas are registered"


def _seals_check(found: Mapping[str, Organization], keys: Sequence[str]) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        return key_rotation.describe_key_usage(found, keys)

    return check

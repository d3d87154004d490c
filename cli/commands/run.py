"""The services: `jira-relay produce`, `consume`, `console`, and `up`, which runs all of them and a Kafka."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import structlog
import typer
from prometheus_client import CollectorRegistry

from cli import embedded_kafka
from cli.console_service import NAME as CONSOLE
from cli.console_service import console_service, find_token, terminal_announcer
from cli.context import CommandContext, build_redactor, run
from consumer.destinations.catalogue import DESTINATIONS
from consumer.service import run_consumer
from management.settings import Settings
from producer.service import run_producer
from relay import lifecycle
from relay.aio import run_unless_stopped
from relay.credentials.keyring import load_keyring
from relay.credentials.redaction import Redactor
from relay.credentials.resolver import CredentialResolver
from relay.errors import RelayError, SettingsError
from relay.kafka.connection import Connection
from relay.kafka.diagnostics.monitor import monitor
from relay.lifecycle import Service, stop_on_signals
from relay.telemetry import logs
from relay.telemetry import server as health
from relay.telemetry.debug_switch import debug_on_signal
from relay.telemetry.health import Health
from relay.telemetry.metrics import open_registry
from relay.telemetry.readiness import announce_readiness

ServiceFactory = Callable[["ProcessContext"], Mapping[str, Service]]

REVISION_VARIABLE = "JIRA_RELAY_REVISION"
"""The image sets it to the commit that it was built from."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """The objects that the services of one process share."""

    settings: Settings
    connection: Connection
    registry: CollectorRegistry
    health: Health
    redactor: Redactor


def produce_command(context: typer.Context) -> None:
    """Poll Jira and publish its audit records to Kafka, until stopped."""
    state: CommandContext = context.obj
    run(_run_alone(state.settings, state.external_connection(), _producer_service))


def consume_command(
    context: typer.Context,
    destination: Annotated[
        list[str] | None,
        typer.Option(help="Name of a destination in the settings; may be repeated. Default: all."),
    ] = None,
) -> None:
    """Deliver events from Kafka to the destinations, until stopped."""
    state: CommandContext = context.obj
    names = _selected_destinations(state.settings, destination)

    def services(process: ProcessContext) -> dict[str, Service]:
        return _consumer_service(process, names)

    run(_run_alone(state.settings, state.external_connection(), services))


def console_command(context: typer.Context) -> None:
    """Serve the console, pages for a browser and an HTTP API, until stopped."""
    state: CommandContext = context.obj
    settings = state.settings.model_copy(update={"secrets": state.secrets()})
    embedded = None if settings.kafka.bootstrap is not None else settings.embedded.data_dir
    announce = terminal_announcer()
    token = find_token(settings, embedded, on_terminal=announce is not None)

    def services(process: ProcessContext) -> dict[str, Service]:
        process.health.report(CONSOLE, ok=False, reason="still starting")
        return {
            CONSOLE: console_service(
                settings, process.connection, process.redactor, process.health, token, announce
            )
        }

    run(_run_alone(settings, state.connection(), services))


def up_command(context: typer.Context) -> None:
    """Run Kafka (embedded unless kafka.bootstrap is set), producer, consumers and console in one process, until stopped."""
    state: CommandContext = context.obj
    run(_run_up(state.settings))


def _selected_destinations(settings: Settings, requested: list[str] | None) -> list[str]:
    if not settings.destinations:
        raise SettingsError(
            "No destination is set. Write a table [destinations.NAME] with the settings of its kind"
            f" ({', '.join(DESTINATIONS)}); docs/settings.md lists them."
        )
    for name in requested or []:
        if name not in settings.destinations:
            raise SettingsError(
                f"The destination {name} is not in the settings; use one of: {', '.join(sorted(settings.destinations))}."
            )
    return requested or sorted(settings.destinations)


async def _run_alone(settings: Settings, connection: Connection, services: ServiceFactory) -> None:
    with stop_on_signals() as stop, debug_on_signal(settings.telemetry.log_level):
        async with _open_process(settings, connection) as process:
            await lifecycle.run_services({**services(process), **_watch_services(process)}, stop)


async def _run_up(settings: Settings) -> None:
    with stop_on_signals() as stop, debug_on_signal(settings.telemetry.log_level):
        async with AsyncExitStack() as stack:
            redactor = _set_up_logging(settings)
            kafka = None
            if settings.kafka.bootstrap is None:
                kafka = await stack.enter_async_context(embedded_kafka.running_kafka(settings, stop))
                if kafka is None:
                    return
                settings = embedded_kafka.settings_with(kafka, settings)
            process = await stack.enter_async_context(
                _open_process(settings, Connection(settings.kafka), redactor)
            )
            services = _producer_service(process)
            if settings.destinations:
                services |= _consumer_service(process, sorted(settings.destinations))
            else:
                process.health.count("destination", 0)
            services |= _console_beside(process, None if kafka is None else settings.embedded.data_dir)
            if kafka is not None:
                services["embedded Kafka"] = embedded_kafka.keep_alive(kafka, process.health)
            services |= _watch_services(process)
            await lifecycle.run_services(services, stop)


def _set_up_logging(settings: Settings) -> Redactor:
    redactor = build_redactor(settings)
    logs.configure_logging(settings.telemetry.log_format, settings.telemetry.log_level, redactor)
    return redactor


@asynccontextmanager
async def _open_process(
    settings: Settings, connection: Connection, redactor: Redactor | None = None
) -> AsyncIterator[ProcessContext]:
    redactor = redactor or _set_up_logging(settings)
    state = Health()
    registry = open_registry(version("jira-audit-relay"), os.environ.get(REVISION_VARIABLE) or "unknown")
    _relax_garbage_collection()
    async with health.serve(settings.telemetry.listen, state, registry) as url:
        log.info("Telemetry is served.", url=url)
        yield ProcessContext(settings, connection, registry, state, redactor)


def _relax_garbage_collection() -> None:
    """Raise the thresholds of the garbage collector.

    A consumer allocates thousands of records a second, none of them in a cycle. With Python's own thresholds the collector
    takes a tenth of its time.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _producer_service(process: ProcessContext) -> dict[str, Service]:
    keyring = load_keyring(process.settings.secrets)
    credentials = CredentialResolver(
        keyring, process.settings.secrets.directory, os.environ, process.redactor.add
    )

    async def service(stop: asyncio.Event) -> None:
        await run_producer(
            process.settings.producer,
            process.settings.schema_registry,
            process.connection,
            credentials,
            stop,
            process.registry,
            process.health,
        )

    return {"producer": service}


def _consumer_service(process: ProcessContext, names: Sequence[str]) -> dict[str, Service]:
    destinations = {name: process.settings.destinations[name] for name in names}

    async def service(stop: asyncio.Event) -> None:
        await run_consumer(
            process.settings.consumer,
            destinations,
            process.settings.schema_registry,
            process.connection,
            stop,
            process.registry,
            process.health,
            archives=process.settings.destinations,
        )

    return {"consumer": service}


def _console_beside(process: ProcessContext, directory: Path | None) -> dict[str, Service]:
    """Return the console of `up`. Without a token or its address, the services run without it, and the log says so."""
    announce = terminal_announcer()
    try:
        token = find_token(process.settings, directory, on_terminal=announce is not None)
        service = console_service(
            process.settings, process.connection, process.redactor, process.health, token, announce
        )
    except RelayError as error:
        log.warning("The console is not served; the other services run.", reason=str(error))
        return {}
    return {CONSOLE: service}


def _watch_services(process: ProcessContext) -> dict[str, Service]:
    async def watch_kafka(stop: asyncio.Event) -> None:
        await run_unless_stopped(stop, monitor(process.connection))

    async def watch_readiness(stop: asyncio.Event) -> None:
        await run_unless_stopped(stop, announce_readiness(process.health))

    return {"watch of Kafka": watch_kafka, "watch of readiness": watch_readiness}

"""The services: `jira-relay produce`, `console`, and `up`, which runs all of them and a Kafka.

A command imports its own service after the settings are read: a consumer needs no console, and a fault of the settings neither.
"""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
import typer

from cli import embedded_kafka
from cli.context import CommandContext, build_redactor, run
from cli.process_context import ProcessContext, ServiceFactory
from management.completeness.current_key import current_key
from management.settings import Settings
from relay import lifecycle
from relay.aio import run_unless_stopped
from relay.child_process import ChildProcess
from relay.config.certificate_files import certificate_files
from relay.credentials.redaction import Redactor
from relay.freed_memory import keep_freed_memory
from relay.kafka.connection import Connection
from relay.kafka.diagnostics.monitor import monitor
from relay.lifecycle import Service, stop_on_signals
from relay.parent_process import follow_parent
from relay.status.model import process_name
from relay.telemetry import logs
from relay.telemetry import server as health
from relay.telemetry.certificates import CertificateExpiry
from relay.telemetry.debug_switch import debug_on_signal
from relay.telemetry.health import Health
from relay.telemetry.metrics import open_registry
from relay.telemetry.readiness import announce_readiness
from relay.telemetry.traces.wiring import open_traces

REVISION_VARIABLE = "JIRA_RELAY_REVISION"
"""The image sets it to the commit that it was built from."""
AZURE_CERTIFICATE = "AZURE_CLIENT_CERTIFICATE_PATH"
"""Azure's library reads a certificate from it, in PEM or PKCS #12."""

log = structlog.get_logger(__name__)


def produce_command(context: typer.Context) -> None:
    state: CommandContext = context.obj
    settings, connection = state.settings, state.external_connection()
    from cli.producer_service import producer_service  # noqa: PLC0415 - see the docstring of this module

    run(run_alone(settings, connection, producer_service))


def console_command(context: typer.Context) -> None:
    state: CommandContext = context.obj
    settings = state.settings.model_copy(update={"secrets": state.secrets()})
    embedded = None if settings.kafka.bootstrap is not None else settings.embedded.data_dir
    from cli.console_service import NAME, console_service, terminal_announcer  # noqa: PLC0415
    from cli.console_token import find_token  # noqa: PLC0415

    announce = terminal_announcer()
    token = find_token(settings, embedded, on_terminal=announce is not None)

    def services(process: ProcessContext) -> dict[str, Service]:
        process.health.report(NAME, ok=False, reason="still starting")
        console = console_service(
            settings, process.connection, process.redactor, process.health, token, announce
        )
        return {NAME: console, **_day_watch(process)}

    run(run_alone(settings, state.connection(), services))


def up_command(context: typer.Context) -> None:
    state: CommandContext = context.obj
    settings = state.settings
    keep_freed_memory()
    from cli.console_service import console_beside  # noqa: PLC0415 - see the docstring of this module
    from cli.consumer_service import consumer_service  # noqa: PLC0415
    from cli.producer_service import producer_service  # noqa: PLC0415

    def services(process: ProcessContext) -> dict[str, Service]:
        started = producer_service(process)
        if settings.destinations:
            started |= consumer_service(process, sorted(settings.destinations))
        else:
            process.health.count("destination", 0)
        started |= _day_watch(process)
        embedded = None if settings.kafka.bootstrap is not None else settings.embedded.data_dir
        return started | console_beside(process, embedded)

    run(_run_up(settings, services))


def _day_watch(process: ProcessContext) -> dict[str, Service]:
    """Return the service that counts and seals days, where a key signs them and Kafka has transactions.

    It reports to no condition of readiness: a count that fails must not take the console and its pages out of service.
    """
    key = process.settings.proof.key
    if key is None or not process.connection.profile.transactions:
        return {}
    from cli.proof_service import proof_service  # noqa: PLC0415 - see the docstring of this module

    return proof_service(process, current_key(key), Health())


async def run_alone(
    settings: Settings,
    connection: Connection,
    services: ServiceFactory,
    children: Sequence[ChildProcess] = (),
) -> None:
    """Run services in this process, and watch its children, until it is asked to stop."""
    with stop_on_signals() as stop, debug_on_signal(settings.telemetry.log_level):
        redactor = _set_up_logging(settings, 1 if children else None)
        async with _open_process(settings, connection, redactor, children) as process:
            watched = {each.name: partial(each.run, health=process.health) for each in children}
            watches = {**_watch_services(process), **_readiness_watch(process)}
            await lifecycle.run_services({**services(process), **watches, **watched}, stop)


async def run_as_child(
    settings: Settings, connection: Connection, services: ServiceFactory, number: int, link: socket.socket
) -> None:
    """Run services in this process until its parent asks it to stop, or ends. The parent serves the telemetry of both."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the parent tells the level of the log
    with stop_on_signals() as stop:
        redactor = _set_up_logging(settings, number)
        async with (
            _process_context(settings, connection, redactor) as process,
            follow_parent(link, stop, process.health, process.registry),
        ):
            await lifecycle.run_services({**services(process), **_watch_services(process)}, stop)


async def _run_up(settings: Settings, factory: ServiceFactory) -> None:
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
            services = dict(factory(process))
            if kafka is not None:
                services["embedded Kafka"] = embedded_kafka.keep_alive(kafka, process.health)
            services |= _watch_services(process) | _readiness_watch(process)
            await lifecycle.run_services(services, stop)


def _set_up_logging(settings: Settings, number: int | None = None) -> Redactor:
    """`number`: of this process, where the service has several; each line names it."""
    redactor = build_redactor(settings)
    telemetry, fields = settings.telemetry, {} if number is None else {"process": number}
    logs.configure_logging(
        telemetry.log_format, telemetry.log_level, redactor, fields=fields, shared=number is not None
    )
    return redactor


@asynccontextmanager
async def _open_process(
    settings: Settings, connection: Connection, redactor: Redactor, children: Sequence[ChildProcess] = ()
) -> AsyncIterator[ProcessContext]:
    async with _process_context(settings, connection, redactor) as process:
        listen, others = settings.telemetry.listen, [each.metrics for each in children]
        async with health.serve(listen, process.health, process.registry, others) as url:
            log.info("Telemetry is served.", url=url)
            yield process


@asynccontextmanager
async def _process_context(
    settings: Settings, connection: Connection, redactor: Redactor
) -> AsyncIterator[ProcessContext]:
    registry = open_registry(version("jira-audit-relay"), os.environ.get(REVISION_VARIABLE) or "unknown")
    registry.register(CertificateExpiry(_certificate_files(settings)))
    _relax_garbage_collection()
    async with open_traces(settings.telemetry, registry, process_name()) as traces:
        yield ProcessContext(settings, connection, registry, Health(), redactor, traces)


def _certificate_files(settings: Settings) -> dict[str, Path]:
    """Return the files of certificates by their setting, with that of Azure's own variable."""
    of_azure = os.environ.get(AZURE_CERTIFICATE)
    return certificate_files(settings) | ({AZURE_CERTIFICATE: Path(of_azure)} if of_azure else {})


def _relax_garbage_collection() -> None:
    """Raise the thresholds of the garbage collector.

    A consumer allocates thousands of records a second, none of them in a cycle. With Python's own thresholds the collector
    takes a tenth of its time.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _watch_services(process: ProcessContext) -> dict[str, Service]:
    async def watch_kafka(stop: asyncio.Event) -> None:
        await run_unless_stopped(stop, monitor(process.connection))

    async def export_traces(stop: asyncio.Event) -> None:
        if process.traces.exporter is None:
            await stop.wait()
        else:
            await run_unless_stopped(stop, process.traces.exporter.run())

    return {"watch of Kafka": watch_kafka, "export of traces": export_traces}


def _readiness_watch(process: ProcessContext) -> dict[str, Service]:
    """Return the service that announces when the whole is ready, which a child process does not know."""

    async def watch_readiness(stop: asyncio.Event) -> None:
        await run_unless_stopped(stop, announce_readiness(process.health))

    return {"watch of readiness": watch_readiness}

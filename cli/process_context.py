"""The objects that the services of one process share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from management.settings import Settings
from relay.credentials.redaction import Redactor
from relay.kafka.connection import Connection
from relay.lifecycle import Service
from relay.telemetry.health import Health
from relay.telemetry.traces.wiring import Traces


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """The settings, the connection and the telemetry of the process."""

    settings: Settings
    connection: Connection
    registry: CollectorRegistry
    health: Health
    redactor: Redactor
    traces: Traces


ServiceFactory = Callable[[ProcessContext], Mapping[str, Service]]

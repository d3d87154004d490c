"""OTLP: the logs of OpenTelemetry by HTTP, for a Collector and the backends that take it.

Enters: events as log records of OpenTelemetry, in protobuf or JSON.
Leaves: one POST to `/v1/logs` of the endpoint, and its outcome; a partial success names no rows.
May not know: Kafka, delivery. docs/destinations/otlp.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind, OpenFlows
from consumer.destinations.otlp.config import OtlpConfig, identity
from consumer.destinations.otlp.response import classify_status


def _open(name: str, config: OtlpConfig, request_timeout_seconds: float) -> OpenFlows:
    from consumer.destinations.otlp.destination import open_otlp  # noqa: PLC0415 - see DestinationKind.open

    return open_otlp(name, config, request_timeout_seconds)


OTLP = DestinationKind(OtlpConfig, _open, identity, classify_status)

"""OTLP: the logs of OpenTelemetry by HTTP, for a Collector and the backends that take it.

Enters: events as log records of OpenTelemetry, in protobuf or JSON.
Leaves: one POST to `/v1/logs` of the endpoint, and its outcome; a partial success names no rows.
May not know: Kafka, delivery. docs/destinations/otlp.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind
from consumer.destinations.otlp.config import OtlpConfig, identity
from consumer.destinations.otlp.destination import open_otlp
from consumer.destinations.otlp.response import classify_status

OTLP = DestinationKind(OtlpConfig, open_otlp, identity, classify_status)

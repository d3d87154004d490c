"""Microsoft Sentinel's native table of normalized audit events, ASimAuditEventLogs, through Azure Monitor's Logs Ingestion API.

Enters: events in the format ASIM, as a compressed JSON array.
Leaves: one request to a stream of a data collection rule, and its outcome.
May not know: Kafka, delivery. docs/destinations/sentinel-asim.md is the operator's page.
"""

from consumer.destinations.azure_ingestion.config import identity
from consumer.destinations.azure_ingestion.response import classify_status
from consumer.destinations.contract import DestinationKind, OpenFlows
from consumer.destinations.sentinel_asim.config import SentinelAsimConfig


def _open(name: str, config: SentinelAsimConfig, request_timeout_seconds: float) -> OpenFlows:
    from consumer.destinations.sentinel_asim.destination import open_sentinel_asim  # noqa: PLC0415 - see DestinationKind.open

    return open_sentinel_asim(name, config, request_timeout_seconds)


SENTINEL_ASIM = DestinationKind(SentinelAsimConfig, _open, identity, classify_status)

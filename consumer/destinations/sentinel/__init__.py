"""Microsoft Sentinel, through Azure Monitor's Logs Ingestion API.

Enters: events with Microsoft's column names, as a compressed JSON array.
Leaves: one request to a stream of a data collection rule, and its outcome.
May not know: Kafka, delivery. docs/destinations/sentinel.md is the operator's page.
"""

from consumer.destinations.azure_ingestion.config import identity
from consumer.destinations.azure_ingestion.response import classify_status
from consumer.destinations.contract import DestinationKind, OpenFlows
from consumer.destinations.read_back import OpenReadBack
from consumer.destinations.sentinel.config import SentinelConfig


def _open(name: str, config: SentinelConfig, request_timeout_seconds: float) -> OpenFlows:
    from consumer.destinations.sentinel.destination import open_sentinel  # noqa: PLC0415 - see DestinationKind.open

    return open_sentinel(name, config, request_timeout_seconds)


def _read_back(name: str, config: SentinelConfig) -> OpenReadBack:
    from consumer.destinations.sentinel.read_back import open_read_back  # noqa: PLC0415 - see DestinationKind.open

    return open_read_back(name, config)


SENTINEL = DestinationKind(SentinelConfig, _open, identity, classify_status, read_back=_read_back)

"""Splunk, through its HTTP Event Collector, with and without indexer acknowledgement.

Enters: events in the native format, each in an envelope that names time, host, source, sourcetype and index.
Leaves: one request to a collector and its outcome; with acknowledgement, the outcome that the indexers give later.
May not know: Kafka, delivery. docs/destinations/splunk.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind, OpenFlows
from consumer.destinations.read_back import OpenReadBack
from consumer.destinations.splunk.config import SplunkConfig, identity
from consumer.destinations.splunk.response import classify_status


def _open(name: str, config: SplunkConfig, request_timeout_seconds: float) -> OpenFlows:
    from consumer.destinations.splunk.destination import open_splunk  # noqa: PLC0415 - see DestinationKind.open

    return open_splunk(name, config, request_timeout_seconds)


def _read_back(name: str, config: SplunkConfig) -> OpenReadBack:
    from consumer.destinations.splunk.read_back import open_read_back  # noqa: PLC0415 - see DestinationKind.open

    return open_read_back(name, config)


SPLUNK = DestinationKind(SplunkConfig, _open, identity, classify_status, read_back=_read_back)

"""Splunk, through its HTTP Event Collector, with and without indexer acknowledgement.

Enters: events in the native format, each in an envelope that names time, host, source, sourcetype and index.
Leaves: one request to a collector and its outcome; with acknowledgement, the outcome that the indexers give later.
May not know: Kafka, delivery. docs/destinations/splunk.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind
from consumer.destinations.splunk.config import SplunkConfig, identity
from consumer.destinations.splunk.destination import open_splunk
from consumer.destinations.splunk.response import classify_status

SPLUNK = DestinationKind(SplunkConfig, open_splunk, identity, classify_status)

"""The catalogue of the kinds of destinations, one line each.

The catalogue is no part of `consumer.destinations` itself: importing an outcome would then open the libraries of every kind.
"""

from typing import Final

from consumer.destinations.contract import Kinds
from consumer.destinations.elasticsearch import ELASTICSEARCH
from consumer.destinations.http import HTTP
from consumer.destinations.kafka import KAFKA
from consumer.destinations.object_store import OBJECT_STORE
from consumer.destinations.otlp import OTLP
from consumer.destinations.sentinel import SENTINEL
from consumer.destinations.sentinel_asim import SENTINEL_ASIM
from consumer.destinations.splunk import SPLUNK

DESTINATIONS: Final[Kinds] = {
    "sentinel": SENTINEL,
    "sentinel-asim": SENTINEL_ASIM,
    "http": HTTP,
    "elasticsearch": ELASTICSEARCH,
    "object-store": OBJECT_STORE,
    "splunk": SPLUNK,
    "otlp": OTLP,
    "kafka": KAFKA,
}
"""Kind: its settings and how to open it. Settings, check, pipelines and the contract suite read this catalogue."""

"""The kinds of destinations that a sandbox has, one line each."""

from collections.abc import Mapping, Sequence
from typing import Final

from sandbox.destinations.contract import OpenPeer
from sandbox.destinations.elasticsearch import open_elasticsearch
from sandbox.destinations.http import open_http
from sandbox.destinations.kafka import open_kafka
from sandbox.destinations.object_store import open_object_store
from sandbox.destinations.otlp import open_otlp
from sandbox.destinations.sentinel import open_sentinel
from sandbox.destinations.sentinel_asim import open_sentinel_asim
from sandbox.destinations.splunk import open_splunk

PEERS: Final[Mapping[str, OpenPeer]] = {
    "sentinel": open_sentinel,
    "sentinel-asim": open_sentinel_asim,
    "splunk": open_splunk,
    "elasticsearch": open_elasticsearch,
    "object-store": open_object_store,
    "http": open_http,
    "otlp": open_otlp,
    "kafka": open_kafka,
}
"""Kind: how to run its peer."""

DEFAULT: Final[Sequence[str]] = ("sentinel", "object-store")
"""The kinds of a sandbox that names none."""

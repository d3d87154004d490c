"""The streams of a rule, with rows in the format ASIM."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from consumer.destinations.azure_ingestion.destination import open_streams
from consumer.destinations.contract import Destination, Flow
from consumer.destinations.sentinel_asim.config import SentinelAsimConfig
from consumer.destinations.sentinel_asim.rows import encode_rows


def open_sentinel_asim(
    name: str, config: SentinelAsimConfig, request_timeout_seconds: float
) -> AbstractAsyncContextManager[Mapping[Flow, Destination]]:
    """Open both streams of the rule. Raises RelayError for an endpoint that is not Azure Monitor's."""
    return open_streams(name, config, request_timeout_seconds, encode_rows)

"""The streams of a rule, with rows under Microsoft's column names."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from consumer.destinations.azure_ingestion.destination import open_streams
from consumer.destinations.contract import Destination, Flow
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.destinations.sentinel.rows import encode_rows


def open_sentinel(
    name: str, config: SentinelConfig, request_timeout_seconds: float
) -> AbstractAsyncContextManager[Mapping[Flow, Destination]]:
    """Open both streams of the rule. Raises RelayError for an endpoint that is not Azure Monitor's."""
    return open_streams(name, config, request_timeout_seconds, encode_rows)

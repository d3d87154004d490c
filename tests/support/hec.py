"""A simulated HTTP Event Collector with the destination that sends to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from consumer.destinations.contract import Destination
from consumer.destinations.splunk.acknowledgements import AcknowledgementTiming
from consumer.destinations.splunk.config import SplunkConfig
from consumer.destinations.splunk.destination import open_splunk
from consumer.timing import BackoffCurve
from simulators.splunk.collector import HecCollector

TOKEN = "b7a0c0de-0000-4000-8000-00000000beef"
QUICK_POLLS = AcknowledgementTiming(BackoffCurve(0.02, 0.05), grace_seconds=5.0)


@asynccontextmanager
async def hec_flow(
    collector: HecCollector, timeout_seconds: float = 60.0, **settings: Any
) -> AsyncIterator[Destination]:
    """Yield the live flow to `collector`, with these settings beside kind, endpoint and token."""
    config = SplunkConfig(**({"kind": "splunk", "endpoint": collector.url, "token": TOKEN} | settings))
    async with open_splunk("soc", config, timeout_seconds, QUICK_POLLS) as flows:
        yield flows["live"]

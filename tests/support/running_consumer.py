"""Consumers that a test starts: in its own process or another, with the kind sentinel or with other limits of it."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from prometheus_client import CollectorRegistry

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import AnyKind, Destination, Flow, Kinds
from consumer.destinations.sentinel import SENTINEL
from consumer.service import run_consumer
from consumer.timing import ConsumerTiming
from management.settings import Settings
from relay.kafka.connection import Connection
from relay.telemetry.health import Health
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer


def with_limits(max_bytes: int | None = None, **limits: Any) -> AnyKind:
    """The kind sentinel, with other limits of a body and of its delivery."""

    @asynccontextmanager
    async def open_limited(
        name: str, config: Any, seconds: float
    ) -> AsyncIterator[Mapping[Flow, Destination]]:
        async with SENTINEL.open(name, config, seconds) as streams:
            for each in cast("Mapping[Flow, Any]", streams).values():
                body_format = replace(each.limits.format, max_bytes=max_bytes or each.limits.format.max_bytes)
                each.limits = replace(each.limits, format=body_format, **limits)
            yield streams

    return replace(SENTINEL, open=open_limited)


class RunningConsumer:
    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        timing: ConsumerTiming | None = None,
        kinds: Kinds = DESTINATIONS,
        tracer: Tracer = NOT_TRACED,
    ) -> None:
        self.registry = CollectorRegistry()
        self.health = Health("destination sentinel")
        self._stop = asyncio.Event()
        self.task = asyncio.create_task(
            run_consumer(
                settings.consumer,
                settings.destinations,
                settings.schema_registry,
                connection,
                self._stop,
                self.registry,
                self.health,
                kinds,
                timing,
                tracer=tracer,
            )
        )

    def ready(self) -> bool:
        """Whether the health page has no problem."""
        return not self.health.problems()

    async def stop(self) -> float:
        """Stop it; return the seconds that the stop took. Raises the error of the consumer."""
        started = time.monotonic()
        self._stop.set()
        await self.task
        return time.monotonic() - started

    def metric(self, name: str, flow: str = "live", **labels: str) -> float:
        """Return a metric of the destination; NaN before its service has opened it."""
        found = self.registry.get_sample_value(name, {"destination": "sentinel", "flow": flow, **labels})
        return math.nan if found is None else found


CONSUMER_PROGRAM = """
import asyncio, sys
from prometheus_client import CollectorRegistry
from consumer.service import run_consumer
from relay.telemetry.health import Health
from relay.kafka.connection import Connection
from management.settings import Settings
settings = Settings.model_validate_json(sys.argv[1])
connection = Connection(settings.kafka)
asyncio.run(run_consumer(settings.consumer, settings.destinations, settings.schema_registry, connection, asyncio.Event(), CollectorRegistry(), Health()))
"""

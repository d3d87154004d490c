"""The consumer of a process."""

import asyncio
from collections.abc import Sequence

from cli.process_context import ProcessContext
from consumer.service import run_consumer
from relay.lifecycle import Service


def consumer_service(process: ProcessContext, names: Sequence[str]) -> dict[str, Service]:
    """Return the service that delivers to these destinations. The process is not ready from now on, until it runs."""
    destinations = {name: process.settings.destinations[name] for name in names}
    for name in names:
        process.health.report(f"destination {name}", ok=False, reason="still starting")

    async def service(stop: asyncio.Event) -> None:
        await run_consumer(
            process.settings.consumer,
            destinations,
            process.settings.schema_registry,
            process.connection,
            stop,
            process.registry,
            process.health,
            archives=process.settings.destinations,
            tracer=process.traces.tracer,
        )

    return {"consumer": service}

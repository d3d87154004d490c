"""Watch that readers can resolve the schema of the events that this process writes."""

import asyncio

import structlog

from relay.schema_registry.store import SchemaStore
from relay.telemetry.health import Health

CHECK_SECONDS = 60.0
_CONDITION = "schema of events"

log = structlog.get_logger(__name__)


async def watch_event_schema(
    store: SchemaStore, health: Health, check_seconds: float = CHECK_SECONDS
) -> None:
    """Look every `check_seconds`, until cancelled. Events are written meanwhile: the relay's own consumers read them."""
    former: str | None = None
    while True:
        await asyncio.sleep(check_seconds)
        problem = await store.verify_encoder()
        health.report(_CONDITION, ok=problem is None, reason=(problem or "").removesuffix("."))
        if problem is not None and problem != former:
            log.error(
                "The schema of events is no longer registered; other readers cannot read new events."
                " Run `jira-relay schemas register`.",
                reason=problem,
            )
        if problem is None and former is not None:
            log.info("The schema of events is registered again.")
        former = problem

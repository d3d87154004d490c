"""The trace of a window: its requests, and the transactions that publish what it holds."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from producer.sources.purpose import Purpose
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange
from relay.telemetry.traces.tracer import Tracer
from relay.timestamps import to_iso


@asynccontextmanager
async def traced_window(
    tracer: Tracer,
    organization: str,
    wanted: TimeRange,
    purpose: Purpose,
    results: AsyncGenerator[WindowResult, None],
) -> AsyncIterator[AsyncGenerator[WindowResult, None]]:
    """Open the results of a window, and record what the block does with them. A window without news has no trace, unless it fails."""
    attributes = {
        "jira_relay.organization": organization,
        "jira_relay.purpose": purpose.value,
        "jira_relay.window.start": to_iso(wanted.start),
        "jira_relay.window.end": to_iso(wanted.end),
    }
    with tracer.trace("poll", attributes):
        async with aclosing(results):
            yield results

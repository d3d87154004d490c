"""Export spans in the background: a bounded queue, some tries, and then a count of what was dropped."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Never

import structlog
from prometheus_client import CollectorRegistry

from relay.condition_log import ConditionLog
from relay.retry import backoff_seconds
from relay.telemetry.metrics import MetricSet
from relay.telemetry.traces import metrics
from relay.telemetry.traces.client import NotTaken, Taken
from relay.telemetry.traces.encoding import export_request
from relay.telemetry.traces.span import AttributeValue, Span

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExportTiming:
    """Bounds of the export. A span is dropped after `attempts` tries."""

    pause_seconds: float = 2.0
    """Between two requests: spans gather meanwhile."""
    attempts: int = 4
    first_backoff_seconds: float = 1.0
    flush_seconds: float = 5.0
    """At the stop of the process."""
    max_queue: int = 16_384
    """Spans that wait: some ten megabytes."""
    max_request: int = 512


class SpanExporter:
    """Sends spans to `post`, one request at a time. `export` never waits: what does not fit the queue is dropped and counted."""

    def __init__(
        self,
        post: Callable[[bytes], Awaitable[Taken | NotTaken]],
        resource: Mapping[str, AttributeValue],
        registry: CollectorRegistry,
        timing: ExportTiming | None = None,
    ) -> None:
        self._post = post
        self._resource = resource
        self._metrics = MetricSet(metrics.CATALOGUE, registry)
        self._timing = timing or ExportTiming()
        self._queue: deque[Span] = deque()
        self._log = ConditionLog(log)

    def export(self, span: Span) -> None:
        """Take a span that has ended."""
        if len(self._queue) < self._timing.max_queue:
            self._queue.append(span)
        else:
            self.dropped("queue-full", 1)

    def dropped(self, reason: str, count: int) -> None:
        """Count spans that are not exported."""
        if count:
            self._metrics[metrics.DROPPED].labels(reason).inc(count)

    async def run(self) -> Never:
        """Export until cancelled."""
        while True:
            await asyncio.sleep(self._timing.pause_seconds)
            while self._queue:
                await self._send_next()

    async def flush(self) -> None:
        """Export what is left, within a few seconds; drop and count the rest. The process stops."""
        try:
            async with asyncio.timeout(self._timing.flush_seconds):
                while self._queue:
                    await self._send_next()
        except TimeoutError:
            log.warning(
                "Some spans were not exported before the stop. Events are not affected.",
                spans=len(self._queue),
            )
        self.dropped("stopped", len(self._queue))
        self._queue.clear()

    async def _send_next(self) -> None:
        """Send the oldest spans. They leave the queue once their outcome is known, so a cancellation loses none."""
        spans = [self._queue[index] for index in range(min(len(self._queue), self._timing.max_request))]
        outcome = await self._post_with_retries(spans)
        for _ in spans:
            self._queue.popleft()
        match outcome:
            case Taken(rejected):
                rejected = min(rejected, len(spans))
                self._metrics[metrics.EXPORTED].inc(len(spans) - rejected)
                self.dropped("refused", rejected)
                self._log.ended("export", "Traces are exported again; they were not")
            case NotTaken(reason, may_pass):
                self.dropped("unreachable" if may_pass else "refused", len(spans))
                self._log.failed(
                    "export",
                    reason,
                    f"Traces are not exported, since the collector of telemetry.traces_endpoint does not take them: {reason}. "
                    "Spans are dropped; events are not affected. Check the endpoint, its headers and its log.",
                )

    async def _post_with_retries(self, spans: Sequence[Span]) -> Taken | NotTaken:
        body = await asyncio.to_thread(export_request, spans, self._resource)
        for attempt in range(self._timing.attempts - 1):
            outcome = await self._post(body)
            if isinstance(outcome, Taken) or not outcome.may_pass:
                return outcome
            first = self._timing.first_backoff_seconds
            await asyncio.sleep(
                backoff_seconds(attempt, random.random(), first=first, minimum=outcome.after_seconds)
            )
        return await self._post(body)

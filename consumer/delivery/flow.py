"""The destination and the state of one flow, which all its deliveries share across assignments."""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from consumer.delivery.batch import Rows
from consumer.delivery.dead_letters import DeadLetterTopic
from consumer.delivery.defects import DEFECTS, describe_defect, dropped_text
from consumer.delivery.flow_state import FlowState
from consumer.delivery.route_states import RouteState, RouteStates
from consumer.delivery.routes import route_of
from consumer.delivery.traces import BodyTrace
from consumer.destinations.contract import Body, Destination
from consumer.destinations.outcome import (
    Dropped,
    Outcome,
    Partial,
    Paused,
    Retry,
    Sent,
    Unconfirmed,
    repeat_reason,
)
from consumer.metrics import PipelineMetrics
from consumer.timing import SenderTiming
from relay.aio import cancellation_requested
from relay.kafka import offsets_of
from relay.timestamps import now_ms

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DeliveryFlow:
    """The destination of one flow, with the state that decides about its requests."""

    destination: Destination
    routes: RouteStates
    dead_letters: DeadLetterTopic
    metrics: PipelineMetrics
    state: FlowState = field(default_factory=FlowState)
    timing: SenderTiming = field(default_factory=SenderTiming)
    workers: Executor | None = None
    """Threads that decode events and build bodies; None: those of the event loop, which others may keep busy."""
    replay: str | None = None
    """The id of the replay job whose flow this is; None: its events come from a consumer group."""

    @property
    def problem(self) -> Paused | Retry | None:
        """Why the destination does not accept some events, or any. None: it accepts them, or nothing is sent."""
        found = self.state.problem
        return found if isinstance(found, Paused) else self.routes.problem or found

    def route_state(self, rows: Rows) -> RouteState:
        """Return the state of the route of these rows, which have one."""
        return self.routes.of(route_of(rows, self.destination.limits.routes))

    async def run_in_worker(self, work: Callable[..., T], *args: Any) -> T:
        """Return `work(*args)`, called in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, work, *args)

    async def send(self, rows: Rows, content: bytes, trace: BodyTrace | None = None) -> Outcome:
        """Make one request and count its outcome."""
        route = self.route_state(rows)
        started, started_ns, moment = time.monotonic(), time.time_ns(), route.acceptance_log.tick()
        limits = self.destination.limits
        raw_bytes = limits.format.size(rows.encoded)
        outcome = await self._call(
            Body(
                content,
                len(rows),
                raw_bytes,
                rows.offsets(),
                route_of(rows, limits.routes),
                offsets_of(rows.tracked.records) if limits.single_partition else (),
                self.replay,
            )
        )
        if isinstance(outcome, Partial | Dropped) and not outcome.names_rows_of(len(rows)):
            outcome = Retry(
                f"{self.destination.address} named rows that its body did not hold.", outcome.status
            )
        self.metrics.request_ended(
            outcome,
            rows=len(rows),
            raw_bytes=raw_bytes,
            wire_bytes=len(content),
            seconds=time.monotonic() - started,
        )
        if trace is not None:
            trace.request(started_ns, outcome, len(content))
        repeated = repeat_reason(outcome, len(rows))
        if repeated is not None:
            self.state.request_repeated(now_ms(), repeated)
        accepted = accepted_count(outcome, len(rows))
        route.acceptance_log.record_answer(
            moment, accepted=accepted > 0 or isinstance(outcome, Unconfirmed | Dropped)
        )
        if isinstance(outcome, Dropped):
            self.metrics.rows_dropped(outcome, rows.offsets(), len(rows))
            self.state.rows_dropped(dropped_text(outcome.count, len(rows), now_ms(), outcome.reason))
            route.rows_accepted()
        if accepted:
            self.state.accepted += accepted
            route.rows_accepted()
        return outcome

    async def confirm(self, rows: Rows, content: bytes, taken: Unconfirmed, attempt: int) -> bool:
        """Wait until the destination confirms a body that it took; False: it does not, and the rows are to be sent again now.

        `attempt`: how often it has not confirmed them. The destination may have them nevertheless, so the repeat is counted.
        """
        outcome = await self._confirmation(taken)
        raw_bytes = self.destination.limits.format.size(rows.encoded)
        if isinstance(outcome, Sent):
            self.metrics.body_confirmed(rows=len(rows), raw_bytes=raw_bytes, wire_bytes=len(content))
            self.state.accepted += len(rows)
            self.route_state(rows).rows_accepted()
            return True
        self.metrics.body_not_confirmed(len(rows), outcome.reason)
        self.state.request_repeated(now_ms(), outcome.reason)
        self.state.body_unconfirmed(asyncio.current_task(), outcome.reason)
        await asyncio.sleep(self.timing.confirmation.wait(attempt, random.random()))
        return False

    async def _confirmation(self, taken: Unconfirmed) -> Sent | Retry:
        """Make sure that the wait ends, and that no exception ends the delivery."""
        seconds = taken.seconds + self.timing.request_grace_seconds
        try:
            async with asyncio.timeout(seconds):
                return await taken.confirm()
        except asyncio.CancelledError:
            if cancellation_requested():
                raise
            return Retry("A confirmation was cancelled within the client of the destination.")
        except DEFECTS as error:
            return Retry(f"A body was not confirmed within {seconds:g} s ({describe_defect(error)}).")

    async def _call(self, body: Body) -> Outcome:
        """Make sure that the call ends, and that no exception ends the delivery: the contract promises both."""
        seconds = self.destination.limits.request_timeout_seconds + self.timing.request_grace_seconds
        try:
            async with asyncio.timeout(seconds) as timer:
                return await self.destination.send(body)
        except asyncio.CancelledError:
            if cancellation_requested():
                raise
            return Retry("A request was cancelled within the client of the destination.")
        except DEFECTS as error:
            if isinstance(error, TimeoutError) and timer.expired():
                return Retry(f"A request did not end within {seconds:g} s.")
            return Retry(f"A request failed because of a defect in the relay ({describe_defect(error)}).")


def accepted_count(outcome: Outcome, rows: int) -> int:
    """Return how many rows of a body of `rows` rows the outcome accepts."""
    match outcome:
        case Sent():
            return rows
        case Partial():
            return outcome.accepted_count(rows)
        case _:  # all rows of a Dropped end as dead letters
            return 0

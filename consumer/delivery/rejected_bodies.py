"""The way of a rejected body: its parts are sent again until each bad row is a dead letter."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from consumer.delivery.batch import Rows
from consumer.delivery.bisection import BodyRejection, RejectBisector
from consumer.delivery.dead_letters import DeadLetterSender
from consumer.delivery.defects import config_fault_text
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.route_states import RouteState
from relay.aio import Signal
from relay.timestamps import now_ms

Rejection = tuple[Rows, BodyRejection]
"""Rows that no outcome accepted or named, and their last rejection."""


class RejectedBodies:
    """Bisects the rejected bodies of one sender, one at a time in a route.

    `send` sends rows until the destination has judged them, and returns those of a rejection. `changed` is notified when a
    body begins to wait for an acceptance.
    """

    def __init__(
        self,
        flow: DeliveryFlow,
        dead_letters: DeadLetterSender,
        send: Callable[[Rows], Awaitable[Rejection | None]],
        changed: Signal,
    ) -> None:
        self._flow = flow
        self._dead_letters = dead_letters
        self._send = send
        self._changed = changed
        self.waiting: set[asyncio.Task[Any] | None] = set()
        """Deliveries that wait for the acceptance of another one."""

    async def bisect(self, rows: Rows, rejection: BodyRejection) -> None:
        """Send parts of the rows until each row is accepted or on the dead-letter topic."""
        self._flow.metrics.body_bisected(rejection.reason, len(rows))
        route = self._flow.route_state(rows)
        bisector = RejectBisector(rows, rejection, route.acceptance_log)
        try:
            await self._bisect_until_done(bisector, route, now_ms())
        finally:
            self._flow.state.rejections_closed(bisector)
            route.config_cleared(bisector)

    async def _bisect_until_done(self, bisector: RejectBisector, route: RouteState, since_ms: int) -> None:
        flow, attempt = self._flow, 0
        while True:
            confirmed_bad: list[Rejection] = []
            async with route.bisection_lock:
                while (part := bisector.next_rows()) is not None:
                    rejection = await self._send(part)
                    if rejection is None:
                        bisector.record_accepted()
                    elif bisector.record_rejected(*rejection):
                        confirmed_bad.append(rejection)
            # without the lock: Kafka may take long, and other bodies bisect meanwhile
            for each in confirmed_bad:
                await self._reject_row(*each)
            if bisector.done:
                return
            if bisector.config_fault_suspected:
                reason = bisector.last_rejection.reason
                text = config_fault_text(reason, flow.destination.config_hint)
                route.config_suspected(bisector, text)
            wait = flow.timing.rejection.wait(attempt, random.random())
            attempt += 1
            if not await self._wait_for_acceptance(wait, bisector, route):
                await self._begin_again(bisector, since_ms)

    async def _begin_again(self, bisector: RejectBisector, since_ms: int) -> None:
        """Begin again after a wait without an acceptance; the status names the rows that are left."""
        for row in bisector.restart():
            await self._reject_row(row, bisector.last_rejection)
        if bisector.remaining:
            reason = bisector.last_rejection.reason
            self._flow.state.rejections_open(bisector, bisector.remaining, since_ms, reason)

    async def _wait_for_acceptance(self, seconds: float, bisector: RejectBisector, route: RouteState) -> bool:
        task = asyncio.current_task()
        self.waiting.add(task)
        self._changed.notify()
        try:
            return await self._accepted_within(seconds, bisector, route)
        finally:
            self.waiting.discard(task)

    async def _accepted_within(self, seconds: float, bisector: RejectBisector, route: RouteState) -> bool:
        """Wait for an acceptance. While the route accepts nothing, one body after the other waits and tries again.

        Otherwise thousands of bodies would each try twice a minute.
        """
        if not route.is_config_suspected(bisector):
            return await route.accepted_within(seconds)
        async with route.suspicion_lock:
            return not route.is_config_suspected(bisector) or await route.accepted_within(seconds)

    async def _reject_row(self, rows: Rows, rejection: BodyRejection) -> None:
        await self._dead_letters.send(rows.tracked, "rejected", [rejection.reason], rejection.status)

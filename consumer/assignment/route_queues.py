"""The queues of closed bodies, one for each route: no route keeps another from slots or memory.

1. A body is sent when its route has no problem and a slot is free; the routes take turns. The last free slot is for a route
   that has none, so one whose requests are not answered keeps none of the others from theirs. Several such routes may have all
   slots: a body that is in delivery for long keeps no slot from a route that has none. A route with a problem has one body in
   delivery, which probes for it beside the slots of the others.
2. Memory: a route may hold as much as is free, of `in_flight_bytes` and one body. So one route fills half of it at most, two
   leave a third to the others, and so on. Beyond its share the partitions of its events are held (`route_holds.py`).
3. An organization that fails for long leaves the others one share less, and never nothing.
"""

import time
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from consumer.delivery.batch import Rows
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.in_delivery import Delivery
from consumer.delivery.sender import Sender
from consumer.offsets.committer import CommitLoop
from relay.kafka import TopicPartition


@dataclass(frozen=True, slots=True)
class Overload:
    """A route that holds more than its share. `needs_witness`: only another event of the route may end that."""

    route: str | None
    partitions: Collection[TopicPartition]
    needs_witness: bool


class RouteQueues:
    """Closed bodies that wait for their route, in their order. Its owner calls `start_ready` after each change."""

    def __init__(
        self, flow: DeliveryFlow, sender: Sender, commits: CommitLoop, silent_seconds: float
    ) -> None:
        """`silent_seconds`: as `RouteHoldTiming.silent_seconds`."""
        self._flow = flow
        self._limits = flow.destination.limits
        self._sender = sender
        self._commits = commits
        self._silent_seconds = silent_seconds
        self._waiting: dict[str | None, deque[Rows]] = {}
        """The first route is the next to take a slot."""
        self._waiting_bytes: Counter[str | None] = Counter()
        self._memory = self._limits.in_flight_bytes + self._limits.format.max_bytes
        self._least_share = self._memory // (4 * (len(set(self._limits.routes.values())) + 1))
        """Bytes that a route has in any case."""

    def oldest_ms(self) -> int | None:
        """Return the timestamp of the oldest record that waits, in ms UTC; None: no body waits."""
        waiting = (rows for queue in self._waiting.values() for rows in queue)
        return min((rows.tracked.records[0].timestamp for rows in waiting), default=None)

    @property
    def waits(self) -> bool:
        """Whether a body waits for a slot, which it may get as time passes."""
        return bool(self._waiting)

    def add(self, route: str | None, rows: Rows) -> None:
        self._waiting.setdefault(route, deque()).append(rows)
        self._waiting_bytes[route] += rows.memory_bytes()

    def start_ready(self, crowded: Collection[TopicPartition] = ()) -> None:
        """Send the bodies that may be sent now; one of each route at a time.

        Bodies of `crowded` partitions alone are left out, unless they hold an offset back: no offset could hold them.
        """
        if self._commits.uncommitted() >= self._limits.max_uncommitted and not self._commits.is_current:
            return  # the next commit wakes the pump
        holding = [each for each in self._sender.deliveries() if each.holds_slot]
        in_slots = Counter(each.route for each in holding)
        busy = sum(count for route, count in in_slots.items() if not self._is_failing(route))
        silent = self._count_silent(holding)
        ready = [*self._waiting]
        while ready:
            again = []
            for route in ready:
                failing = self._is_failing(route)
                place = self._first_outside(route, crowded)
                if place is None or not self._has_room(in_slots[route], busy, silent, failing=failing):
                    continue
                in_slots[route] += 1
                busy += not failing
                if self._start(route, place):
                    again.append(route)
            ready = again

    def _count_silent(self, holding: Sequence[Delivery]) -> int:
        """Return how many slots the bodies have that are in delivery for long, though their routes have no problem."""
        oldest = time.monotonic() - self._silent_seconds
        return sum(each.begun < oldest and not self._is_failing(each.route) for each in holding)

    def _has_room(self, own: int, busy: int, silent: int, *, failing: bool) -> bool:
        """Return whether a route with `own` bodies in delivery may send one.

        `busy`: slots that routes without a problem have; `silent`: those of them that have been taken for long.
        """
        if failing:
            return own == 0
        most = self._limits.in_flight_bodies
        if own == 0:
            return most is None or busy - silent < most
        return (most is None or busy < most - 1) and self._sender.bytes < self._limits.in_flight_bytes

    def _first_outside(self, route: str | None, crowded: Collection[TopicPartition]) -> int | None:
        """Return the place of the first body that is not of `crowded` partitions alone, or holds one's offset back."""
        for place, rows in enumerate(self._waiting[route]):
            tracked = rows.tracked
            if not crowded or not tracked.partitions.issubset(crowded):
                return place
            if any(self._commits.blocks(partition, tracked.sequences) for partition in tracked.partitions):
                return place
        return None

    def _start(self, route: str | None, place: int) -> bool:
        """Send a body of a route, and put the route behind the others. Return whether more of its bodies wait."""
        queue = self._waiting.pop(route)
        rows = queue[place]
        del queue[place]
        self._waiting_bytes[route] -= rows.memory_bytes()
        self._sender.start(rows)
        if queue:
            self._waiting[route] = queue
        return bool(queue)

    def _is_failing(self, route: str | None) -> bool:
        return self._flow.routes.of(route).problem is not None

    def overloads(self, held: Collection[TopicPartition]) -> list[Overload]:
        """Return the routes that hold more than their share. Of those that hold partitions up already, half a share is enough."""
        in_delivery: dict[str | None, list[Delivery]] = {}
        for each in self._sender.deliveries():
            in_delivery.setdefault(each.route, []).append(each)
        used = Counter({route: sum(each.bytes for each in own) for route, own in in_delivery.items()})
        used.update(self._waiting_bytes)
        share = max(self._memory - used.total(), self._least_share)
        found = []
        for route, size in used.items():
            if size * 2 > share:
                overload = self._overload(route, in_delivery.get(route, []))
                if size > share or any(each in held for each in overload.partitions):
                    found.append(overload)
        return found

    def _overload(self, route: str | None, own: Sequence[Delivery]) -> Overload:
        tracked = (*(each.tracked for each in own), *(rows.tracked for rows in self._waiting.get(route, ())))
        partitions = {partition for each in tracked for partition in each.partitions}
        return Overload(route, partitions, bool(own) and all(each.needs_witness for each in own))

    def blocking_route(self, partition: TopicPartition) -> tuple[str | None, bool] | None:
        """Return the route whose record holds the offset of a partition back, and whether it needs a witness. None: no body has it."""
        blocks = self._commits.blocks
        for each in self._sender.deliveries():
            if blocks(partition, each.tracked.sequences):
                return each.route, each.needs_witness
        for route, queue in self._waiting.items():
            if any(blocks(partition, rows.tracked.sequences) for rows in queue):
                return route, False
        return None

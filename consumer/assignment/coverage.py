"""The check that the members of a group read every partition of their topic."""

import time
from collections.abc import Awaitable, Callable

from consumer.timing import CoverageTiming
from relay.kafka import KafkaError
from relay.kafka.bounded_consumer import GroupCoverage

NOT_KNOWN = "looking up whether every partition is read by a member of the group"


class CoverageCheck:
    """Remembers the last look-up. A member without partitions is right where others read them all, and wrong where none does.

    `read` raises KafkaError or TimeoutError when Kafka does not say, and returns None while the group rebalances.
    """

    def __init__(
        self,
        topic: str,
        read: Callable[[], Awaitable[GroupCoverage | None]],
        timing: CoverageTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._read = read
        self._timing = timing or CoverageTiming()
        self._clock = clock
        self._found: GroupCoverage | None = None
        self._found_at = -1e9

    @property
    def partitions(self) -> frozenset[int] | None:
        """The partitions of the topic, if all are read; None: that is not so, or not known now."""
        return self._found.partitions if self._found and self.problem is None else None

    @property
    def problem(self) -> str | None:
        """What an operator must know; None: all partitions are read."""
        if self._found is None or self._clock() - self._found_at > self._timing.valid_seconds:
            return NOT_KNOWN
        if not self._found.partitions:
            return f"Kafka has no topic {self._topic}. Run `jira-relay topics create`"
        if unowned := sorted(self._found.unowned):
            numbers = ", ".join(map(str, unowned))
            return (
                f"no member of the group reads partition {numbers} of {self._topic}; members join again within seconds after the"
                " partitions of a topic change"
            )
        return None

    def forget(self) -> None:
        """Forget the last answer: this process is not a member now."""
        self._found = None

    async def refresh(self) -> None:
        """Look up, unless the last finding without a problem is fresh; a failure leaves the last finding, which expires."""
        age = self._clock() - self._found_at
        if self.problem is None and age < self._timing.interval_seconds:
            return
        try:
            found = await self._read()
        except (KafkaError, TimeoutError):
            return
        if found is not None:
            self._found, self._found_at = found, self._clock()

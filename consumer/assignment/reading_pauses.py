"""The pauses of reading in one assignment: a full buffer, a corrupt batch, a schema in doubt, a route that is not accepted."""

from collections.abc import Hashable
from collections.abc import Set as AbstractSet

from relay.kafka import TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer


class ReadingPauses:
    """Resumes a partition only when no cause of a pause is left.

    `started` holds the partitions whose start is known, and grows.
    """

    def __init__(
        self, consumer: BoundedConsumer, started: AbstractSet[TopicPartition], corrupt_pause_seconds: float
    ) -> None:
        self._consumer = consumer
        self._started = started
        self._corrupt_pause_seconds = corrupt_pause_seconds
        self._all_paused = False
        self._held: set[tuple[TopicPartition, Hashable]] = set()
        self._paused_until: dict[TopicPartition, float] = {}
        """Partitions that cannot be read, and when to try again (monotonic clock)."""

    def hold(self, partition: TopicPartition, cause: Hashable = "schema") -> None:
        """Pause a partition until `release` for the same cause."""
        self._held.add((partition, cause))
        self._consumer.pause([partition])

    def release(self, partition: TopicPartition, cause: Hashable = "schema") -> None:
        """End one cause of a pause; the partition is read on when there is no other."""
        self._held.discard((partition, cause))
        self._resume(partition)

    def leave_alone(self, partition: TopicPartition, now: float) -> None:
        """Pause a partition for a while; another replica may have an intact copy. `now` is the monotonic clock."""
        self._paused_until[partition] = now + self._corrupt_pause_seconds
        self._consumer.pause([partition])

    def resume_due(self, now: float) -> None:
        """Try the partitions again that were left alone for long enough."""
        for partition in [each for each, until in self._paused_until.items() if until <= now]:
            del self._paused_until[partition]
            self._resume(partition)

    def pause_all(self) -> None:
        """Pause every partition until `resume_all`."""
        if not self._all_paused:
            self._consumer.pause(self._started)
            self._all_paused = True

    def resume_all(self) -> None:
        """Resume the partitions that have no other cause of a pause."""
        if self._all_paused:
            self._consumer.resume(self._readable())
            self._all_paused = False

    def _resume(self, partition: TopicPartition) -> None:
        if not self._all_paused and partition in self._readable():
            self._consumer.resume([partition])

    def _readable(self) -> AbstractSet[TopicPartition]:
        return self._started - self._paused_until.keys() - {partition for partition, _ in self._held}

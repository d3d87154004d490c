"""What this process knows of a group's partitions, whoever has them at the moment."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from consumer.offsets import Mark
from relay.kafka import TopicPartition


@dataclass(frozen=True, slots=True)
class Known:
    """Of one partition."""

    settled: int
    """Before it everything is settled: accepted, a dead letter, or from before the group's beginning."""
    committed: int | None
    """The group's offset as this process saw it last; None: there was none."""
    last: Mark | None = None
    """The record before `settled`, if this process has settled it."""

    def ahead_of(self, committed: int | None) -> bool:
        """Whether more is settled than the group's offset says, which stands where it stood, or further.

        Where it went back an operator has set it back: that is obeyed.
        """
        if committed is None or self.last is None or self.settled <= committed:
            return False
        return self.committed is None or committed >= self.committed


class Memory:
    """Survives assignments and memberships, since what a destination has accepted stays accepted.

    A commit may fail after the answer of the destination: Kafka is away, or the group has moved on. Without this memory a
    process that gets its partition back would send again what it knows to have arrived.

    What would break it is an offset that has come to mean another record: a log that lost its end, or was made anew, and has
    grown past the offset again. So the last record goes with it: it is looked for in the log before it counts
    (consumer.beginning).
    """

    def __init__(self) -> None:
        self._known: dict[TopicPartition, Known] = {}

    def of(self, partition: TopicPartition) -> Known | None:
        return self._known.get(partition)

    def began(self, partition: TopicPartition, offset: int, committed: int | None) -> None:
        """Reading begins here, for whatever reason; what was known of what follows counts no more."""
        before = self._known.get(partition)
        same = before is not None and before.settled == offset
        self._known[partition] = (
            replace(before, committed=committed) if before and same else Known(offset, committed)
        )

    def settled(self, partition: TopicPartition, last: Mark) -> None:
        """Up to this record, with it."""
        self._known[partition] = replace(self._known[partition], settled=last.offset + 1, last=last)

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        for partition, offset in offsets.items():
            self._known[partition] = replace(self._known[partition], committed=offset)

"""Losses and corrupt batches of one assignment, as the status and the log report them."""

from collections.abc import Iterable

from consumer.delivery.flow_state import FlowState
from consumer.losses.loss_log import LossLog
from consumer.metrics import PipelineMetrics
from consumer.offsets.delivered import RecordFingerprint
from relay.kafka import TopicPartition
from relay.timestamps import to_iso_any


class LossReport:
    """Names events that Kafka deleted before their delivery, and batches that cannot be read.

    The collection time of a loss is known only when the next record of its partition arrives.
    """

    def __init__(self, state: FlowState, metrics: PipelineMetrics, losses: LossLog | None = None) -> None:
        """`losses`: where lost ranges are recorded; None: nowhere, as in tests."""
        self._state = state
        self._metrics = metrics
        self._losses = losses
        self._undated: set[TopicPartition] = set()

    def deleted(self, partition: TopicPartition) -> None:
        """Note that Kafka deleted events of a partition; the next record dates the loss."""
        self._undated.add(partition)

    async def note(
        self,
        partition: TopicPartition,
        deleted_range: tuple[int, int],
        lost: int,
        before: RecordFingerprint | None,
    ) -> None:
        """Record a loss before the reading goes on after it. `before`: the last record that was read; None: none is known.

        Raises KafkaError where that is to be tried again.
        """
        if self._losses is not None:
            await self._losses.note(partition, deleted_range, lost, before.timestamp if before else None)

    def record_arrived(self, partition: TopicPartition, timestamp_ms: int) -> None:
        """Date the last loss of the partition: its events were collected before this record."""
        if partition in self._undated:
            self._undated.discard(partition)
            self._metrics.loss_dated(partition, to_iso_any(timestamp_ms))
        if self._losses is not None:
            self._losses.record_arrived(partition, timestamp_ms)

    def offset_mismatched(self, text: str) -> None:
        """Report a known offset that did not fit the log; `text` says where reading goes on."""
        self._state.offset_mismatched(text)

    def corrupt(self, partition: TopicPartition, start: int, last: int, fault: str) -> None:
        """Report that the batch at `start` cannot be read; its last offset is `last`."""
        self._metrics.batch_corrupt(partition, start, last, fault)
        self._state.batch_corrupt(partition, _corrupt_batch_text(partition, start, last, fault))

    def readable(self, partitions: Iterable[TopicPartition]) -> None:
        """Withdraw the reports of corrupt batches: records arrived, or another member owns the partition."""
        for partition in partitions:
            self._state.batch_readable(partition)
            self._metrics.batch_readable(partition)


def _corrupt_batch_text(partition: TopicPartition, start: int, last: int, fault: str) -> str:
    return (
        f"A batch of {partition.topic}, partition {partition.partition}, is corrupt in Kafka ({fault}): no event from"
        f" offset {start} on is delivered; other partitions are. Elect a leader that has an intact copy"
        f" (`kafka-leader-election.sh`). If no replica has one, pause the destination, set the group's offset there to {last + 1}"
        f" (`kafka-consumer-groups.sh --reset-offsets --topic {partition.topic}:{partition.partition} --to-offset {last + 1} --execute`),"
        " which skips the events before it, and resume the destination."
    )

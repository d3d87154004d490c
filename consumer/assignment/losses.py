"""Losses and corrupt batches of one assignment, as the status and the log report them."""

from collections.abc import Iterable

from consumer.assignment.start_offset_texts import iso
from consumer.delivery.flow_state import FlowState
from consumer.metrics import PipelineMetrics
from relay.kafka import TopicPartition


class LossReport:
    """Names events that Kafka deleted before their delivery, and batches that cannot be read.

    The collection time of a loss is known only when the next record of its partition arrives.
    """

    def __init__(self, state: FlowState, metrics: PipelineMetrics) -> None:
        self._state = state
        self._metrics = metrics
        self._undated: dict[TopicPartition, tuple[int, int]] = {}

    def deleted(self, partition: TopicPartition, start: int, stop: int) -> None:
        """Report that Kafka deleted offsets [start, stop); not all of them had been delivered."""
        self._undated[partition] = (start, stop)
        self._state.data_lost(_loss_text(partition, start, stop))

    def record_arrived(self, partition: TopicPartition, timestamp_ms: int) -> None:
        """Date the last loss of the partition: its events were collected before this record."""
        if (lost := self._undated.pop(partition, None)) is not None:
            collected_before = iso(timestamp_ms)
            self._metrics.loss_dated(partition, collected_before)
            self._state.data_lost(
                f"{_loss_text(partition, *lost)} They had been collected before {collected_before}."
            )

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


def _loss_text(partition: TopicPartition, first: int, stop: int) -> str:
    return (
        f"Kafka deleted events before they were accepted: offsets {first} to {stop - 1} of"
        f" {partition.topic}, partition {partition.partition}. Later events are delivered."
    )


def _corrupt_batch_text(partition: TopicPartition, start: int, last: int, fault: str) -> str:
    return (
        f"A batch of {partition.topic}, partition {partition.partition}, is corrupt in Kafka ({fault}): no event from"
        f" offset {start} on is delivered; other partitions are. Elect a leader that has an intact copy"
        f" (`kafka-leader-election.sh`). If no replica has one, stop the consumers and set the group's offset there to {last + 1}, which skips the events before it."
    )

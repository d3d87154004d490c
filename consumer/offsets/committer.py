"""What of one assignment is committed, with as much metadata as Kafka takes with an offset."""

from collections.abc import Mapping

from consumer.metrics import PipelineMetrics
from consumer.offsets.delivered import MAX_DELIVERED_RANGES, DeliveryProgress
from relay.kafka import OffsetAndMetadata, OffsetMetadataTooLargeError, TopicPartition
from relay.kafka.positions import Positions


class OffsetCommitter:
    """Starts with as many ranges as fit by default; where Kafka takes less, with fewer, and at last without any metadata."""

    def __init__(self, positions: Positions, metrics: PipelineMetrics) -> None:
        self._positions = positions
        self._metrics = metrics
        self._committed: dict[TopicPartition, DeliveryProgress] = {}
        self._max_ranges = MAX_DELIVERED_RANGES
        self._metadata_accepted = True
        """Whether Kafka takes metadata with an offset."""

    @property
    def committed_offsets(self) -> Mapping[TopicPartition, int]:
        """What was committed."""
        return {partition: progress.offset for partition, progress in self._committed.items()}

    def fits_metadata(self, progress: Mapping[TopicPartition, DeliveryProgress]) -> bool:
        """Whether all of it goes with the offsets, as far as is known."""
        return all(len(each.delivered_ahead) <= self._max_ranges for each in progress.values())

    async def commit(self, progress: Mapping[TopicPartition, DeliveryProgress]) -> None:
        """Commit it, as far as it has changed. Raises KafkaError, where it may not be ours any more, and TimeoutError."""
        while True:
            limited = {each: made.with_first_ranges(self._max_ranges) for each, made in progress.items()}
            changed = {each: made for each, made in limited.items() if self._committed.get(each) != made}
            if not changed:
                return
            try:
                await self._positions.commit(
                    {each: self._with_metadata(made) for each, made in changed.items()}
                )
            except OffsetMetadataTooLargeError:
                if not self._metadata_accepted:
                    raise
                if self._max_ranges == 0:
                    self._metrics.offset_metadata_refused()
                    self._metadata_accepted = False
                self._max_ranges //= 4
            else:
                self._committed |= changed
                return

    def _with_metadata(self, progress: DeliveryProgress) -> OffsetAndMetadata:
        return (
            progress.to_offset_and_metadata()
            if self._metadata_accepted
            else OffsetAndMetadata(progress.offset, "")
        )

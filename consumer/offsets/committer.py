"""What of one assignment is committed, with as much text as Kafka takes with an offset."""

from collections.abc import Mapping

from consumer.metrics import FlowMetrics
from consumer.offsets.delivered import MOST_STRETCHES, Progress
from relay.kafka import OffsetAndMetadata, OffsetMetadataTooLargeError, TopicPartition
from relay.kafka.positions import Positions


class Commits:
    """Begins with as many stretches as fit by default; where Kafka takes less, with fewer, and at last without any text."""

    def __init__(self, positions: Positions, metrics: FlowMetrics) -> None:
        self._positions = positions
        self._metrics = metrics
        self._committed: dict[TopicPartition, Progress] = {}
        self._most_stretches = MOST_STRETCHES
        self._texts = True
        """Whether Kafka takes a text with an offset."""

    @property
    def offsets(self) -> Mapping[TopicPartition, int]:
        """What was committed."""
        return {partition: progress.offset for partition, progress in self._committed.items()}

    def fits(self, progress: Mapping[TopicPartition, Progress]) -> bool:
        """Whether all of it goes with the offsets, as far as is known."""
        return all(len(each.beyond) <= self._most_stretches for each in progress.values())

    async def commit(self, progress: Mapping[TopicPartition, Progress]) -> None:
        """Commit it, as far as it is news. Raises KafkaError, where it may not be ours any more, and TimeoutError."""
        while True:
            short = {each: made.first_only(self._most_stretches) for each, made in progress.items()}
            news = {each: made for each, made in short.items() if self._committed.get(each) != made}
            if not news:
                return
            try:
                await self._positions.commit({each: self._committable(made) for each, made in news.items()})
            except OffsetMetadataTooLargeError:
                if not self._texts:
                    raise
                if self._most_stretches == 0:
                    self._metrics.commits_without_text()
                    self._texts = False
                self._most_stretches //= 4
            else:
                self._committed |= news
                return

    def _committable(self, progress: Progress) -> OffsetAndMetadata:
        return progress.committable() if self._texts else OffsetAndMetadata(progress.offset, "")

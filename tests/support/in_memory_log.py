"""The log of one partition, in memory, for the proof of start offsets (consumer.assignment.event_log.EventLog)."""

from collections.abc import Callable, Mapping

from consumer.offsets.delivered import RecordFingerprint
from relay.kafka import Record, TopicPartition


class InMemoryLog:
    """Reads the records by offset that `records` returns now, with those before `first` deleted; every partition has the same."""

    def __init__(
        self, records: Callable[[], Mapping[int, Record]], first: Callable[[], int] = lambda: 0
    ) -> None:
        self._records = records
        self._first = first

    async def records_at(
        self, offsets: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record | None]:
        records = self._records()
        return {each: records.get(offset) for each, offset in offsets.items() if offset >= self._first()}

    async def find(
        self, _partition: TopicPartition, start: int, fingerprint: RecordFingerprint
    ) -> RecordFingerprint | None:
        fingerprints = [
            RecordFingerprint.of(each) for offset, each in sorted(self._records().items()) if offset >= start
        ]
        return next((each for each in fingerprints if each.is_same_record(fingerprint)), None)

    async def last_before(self, _partition: TopicPartition, offset: int) -> RecordFingerprint | None:
        before = [each for at, each in sorted(self._records().items()) if at < offset]
        return RecordFingerprint.of(before[-1]) if before else None

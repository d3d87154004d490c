"""A writer of dead letters without a broker."""

from relay.kafka import Record
from relay.kafka.producer import TopicWriteError


class FakeDeadLetterWriter:
    """Remembers offset, reason and status of each dead letter, after the first `failures` writes have failed."""

    def __init__(self, failures: int = 0) -> None:
        self.put_records: list[tuple[int, str, int | None]] = []
        self.failures = failures

    async def put(self, record: Record, reason: str, status: int | None = None) -> None:
        if self.failures:
            self.failures -= 1
            raise TopicWriteError("Kafka is away")
        self.put_records.append((record.offset, reason, status))

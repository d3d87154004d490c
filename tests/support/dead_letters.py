"""Dead letters without a broker: a writer, and records of their topic."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.dead_letters.letter import relay_headers
from relay.kafka import Record
from relay.kafka.producer import TopicWriteError

AT = 1_790_000_000_000


@dataclass(frozen=True)
class StoredRecord:
    partition: int
    offset: int
    key: bytes | None = b"acme"
    value: bytes | None = b"content"
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = AT
    topic: str = "p.dead-letters"
    timestamp_type: int = 0


def letter_record(
    offset: int,
    value: bytes = b"content",
    *,
    partition: int = 1,
    key: bytes | None = b"acme",
    original: Sequence[tuple[str, bytes]] = (),
    at: int = AT,
    **fields: str | None,
) -> Record:
    """Return a letter, with the reason `too odd` unless `fields` has another, or no reason if it is None."""
    named: dict[str, str | None] = {"reason": "too odd", **fields}
    headers = relay_headers({name: text for name, text in named.items() if text is not None})
    return StoredRecord(partition, offset, key, value, (*original, *headers), at)


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

"""Records that a destination will never take, kept as they are."""

from collections.abc import Callable

from relay.kafka import Record
from relay.kafka.producer import RecordTooLargeError, RecordWriter
from relay.timestamps import now_ms

MIN_PART_BYTES = 1_000


class DeadLetterWriter:
    """Writes to the dead-letter topic on behalf of one destination."""

    def __init__(
        self,
        writer: RecordWriter,
        topic: str,
        destination: str,
        now_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._writer = writer
        self._topic = topic
        self._destination = destination
        self._now_ms = now_ms
        self._max_value_bytes: int | None = None
        """Of a value that Kafka may take, in bytes, as far as it has refused larger ones."""

    async def put(self, record: Record, reason: str, status: int | None = None) -> None:
        """Return when all in-sync replicas have it: key and value untouched, and its own headers before ours.

        A value that is too large for the topic stands there in numbered parts, as those of the producer do. Raises TopicWriteError
        when that is not certain; the record may then stand there twice.
        """
        fields = {
            "reason": reason,
            "service": "consumer",
            "destination": self._destination,
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "status": "" if status is None else str(status),
            "at": str(self._now_ms()),
        }
        headers = [*record.headers, *((f"relay.{name}", text.encode()) for name, text in fields.items())]
        while True:
            parts = _split_value(record.value, self._max_value_bytes)
            try:
                for number, part in enumerate(parts, 1):
                    part_header = (
                        [("relay.part", f"{number}/{len(parts)}".encode())] if len(parts) > 1 else []
                    )
                    await self._writer.send(self._topic, record.key, part, headers=[*headers, *part_header])
            except RecordTooLargeError:
                refused_bytes = len(parts[0] or b"")
                if refused_bytes <= MIN_PART_BYTES:
                    raise
                self._max_value_bytes = refused_bytes // 2
            else:
                return


def _split_value(value: bytes | None, max_bytes: int | None) -> list[bytes | None]:
    if value is None or max_bytes is None or len(value) <= max_bytes:
        return [value]
    return [value[start : start + max_bytes] for start in range(0, len(value), max_bytes)]

"""Records that a destination will never take, kept as they are."""

import time
from collections.abc import Callable

from relay.kafka import Record
from relay.kafka.producing import Writer


class DeadLetters:
    """Writes to the dead-letter topic on behalf of one destination."""

    def __init__(
        self,
        writer: Writer,
        topic: str,
        destination: str,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._writer = writer
        self._topic = topic
        self._destination = destination
        self._now_ms = now_ms

    async def put(self, record: Record, reason: str, status: int | None = None) -> None:
        """Return when all in-sync replicas have it: key and value untouched, and its own headers before ours.

        Raises WritingError when that is not certain; the record may then stand there twice.
        """
        facts = {
            "reason": reason,
            "service": "consumer",
            "destination": self._destination,
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "status": "" if status is None else str(status),
            "at": str(self._now_ms()),
        }
        headers = [*record.headers, *((f"relay.{name}", text.encode()) for name, text in facts.items())]
        await self._writer.send(self._topic, record.key, record.value, headers=headers)

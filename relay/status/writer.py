"""What each part tells of itself on the status topic, for the page, the command line and the next owner."""

import asyncio
import math
import time
from collections.abc import Callable

import structlog

from relay.avro.codec import InternalCodec, Unencodable
from relay.kafka.producer import RecordWriter, TopicWriteError
from relay.status.model import EPOCH, VALID_UNTIL, Status, to_record

FLUSH_SECONDS = 0.5
WARNING_INTERVAL_SECONDS = 60.0
"""While Kafka is away, that is told at most so often."""

log = structlog.get_logger(__name__)


class StatusWriter:
    """Writes status records: the only writer of the status topic.

    Of each key only the latest waits to be written, so a Kafka that is away costs no memory. `may_write` holds
    writing back while it is doubtful whether what we tell of is still ours; what comes too late for that all the same
    carries its epoch, by which readers know it.
    """

    def __init__(
        self, writer: RecordWriter, topic: str, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        self._writer = writer
        self._topic = topic
        self._may_write = may_write
        self._codec = InternalCodec("status")
        self._last_put: dict[str, Status] = {}
        self._pending: dict[str, Status | None] = {}
        self._warned_at = -math.inf

    def put(self, key: str, status: Status) -> None:
        self._last_put[key] = self._pending[key] = status

    def last_put(self, key: str) -> Status | None:
        """What this process posted last, written or not; None: nothing, or it was taken off or forgotten."""
        return self._last_put.get(key)

    def tombstone(self, key: str) -> None:
        """Take a record off the board."""
        self._last_put.pop(key, None)
        self._pending[key] = None

    def forget(self, key: str) -> None:
        """Leave a record as it stands: somebody else's now."""
        self._last_put.pop(key, None)
        self._pending.pop(key, None)

    async def run(self) -> None:
        """Write what was posted, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits. What could not be written goes on waiting."""
        if not self._pending or not self._may_write():
            return
        try:
            async with asyncio.TaskGroup() as group:
                for key, status in self._pending.items():
                    group.create_task(self._write(key, status))
        except* TopicWriteError as errors:
            self._warn(str(errors.exceptions[0]))
        else:
            self._warned_at = -math.inf

    def _warn(self, reason: str) -> None:
        now = time.monotonic()
        if now - self._warned_at >= WARNING_INTERVAL_SECONDS:
            self._warned_at = now
            log.warning("Status could not be written; trying again.", reason=reason)

    async def _write(self, key: str, status: Status | None) -> None:
        try:
            value = None if status is None else self._codec.encode(to_record(status))
        except Unencodable as error:
            log.error("A status cannot be written down and is left out.", key=key, reason=str(error))
        else:
            headers = () if status is None else _owner_headers(status)
            await self._writer.send(self._topic, key.encode(), value, headers=headers)
        if key in self._pending and self._pending[key] is status:
            del self._pending[key]


def _owner_headers(status: Status) -> list[tuple[str, bytes]]:
    return [(EPOCH, str(status.epoch).encode()), (VALID_UNTIL, str(status.valid_until).encode())]
